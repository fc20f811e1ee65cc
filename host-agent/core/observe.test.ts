import { beforeEach, expect, it } from "vitest";
import { FAKE_SETTINGS, FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";

// What changes by itself, or by somebody's hand (D24).

let host: FakeHost;
beforeEach(() => {
  host = new FakeHost();
});

/** Instance 2 (with a process) and attachment 1 on it, applied. */
function attached(): void {
  host.snapshot(new FeedWorld());
  host.change({ scope: "host", items: [ruleset(rulesetItem(1)), instance(instanceItem(2)), attachment(attachmentItem(1, 2))] });
  host.pass();
}

it("makes a device anew that the guest has deleted", () => {
  attached();
  const before = host.pins.endpoints.get(1)?.ifindex;
  host.takeCalls();
  host.deviceKernel.pairs.delete(1);
  expect(host.reconciler.observe()).toBe(true);
  host.pass();
  expect(host.takeCalls()).toEqual(["datapath.closeEndpoint", "devices.ensure", "datapath.guardDevice", "datapath.putEndpoint"]);
  expect(host.pins.endpoints.get(1)?.ifindex).not.toBe(before);
});

it("sets a device right that somebody set down or changed, without closing its endpoint", () => {
  attached();
  host.reconciler.statuses.takeNew();
  host.takeCalls();
  const { ifindex } = host.deviceKernel.pairs.get(1)!;
  const news = (carrier: boolean, index = ifindex) => ({
    ...{ links: new Map([[index, { carrier, mtu: FAKE_SETTINGS.guestMtu }]]), filters: new Set<number>(), overrun: false },
  });
  host.deviceKernel.pairs.get(1)!.up = false;
  expect(host.reconciler.heed(news(true))).toBe(false); // as the agent's own work looks: no look at all devices for that
  expect(host.reconciler.heed(news(false, ifindex + 1))).toBe(false); // not ours
  expect(host.reconciler.heed(news(false))).toBe(true);
  host.pass();
  expect(host.takeCalls()).toEqual(["devices.ensure", "datapath.guardDevice"]);
  expect(host.reconciler.observe()).toBe(false);
  expect(host.lost).toEqual(["device 1"]);
  expect(host.reconciler.statuses.takeNew().attachments).toEqual([]); // mended before anybody had to be told
});

it("guards a device again that lost its program", () => {
  attached();
  host.takeCalls();
  const { ifindex } = host.pins.endpoints.get(1)!;
  host.pins.guarded.delete(ifindex);
  expect(host.reconciler.checkGuards(new Set([ifindex]))).toBe(true);
  host.pass();
  expect(host.takeCalls()).toEqual(["devices.ensure", "datapath.guardDevice"]);
  expect(host.pins.guarded).toContain(ifindex);
  expect(host.lost).toEqual(["guard 1"]);
  expect(host.reconciler.checkGuards(new Set())).toBe(false);
});

it("looks again at the interface whose device was lost, and at no other", () => {
  attached();
  host.change({ scope: "host", items: [attachment(attachmentItem(4, 2, { deviceIndex: 1 }))] });
  host.pass();
  expect(host.reconciler.statuses.open).toBe(0);
  host.deviceKernel.pairs.delete(4);
  expect(host.reconciler.observe()).toBe(true);
  expect(host.reconciler.statuses.open).toBe(1);
  host.pass();
  expect([host.reconciler.statuses.open, host.pins.endpoints.size]).toEqual([0, 2]);
});

it("makes a namespace anew that somebody has deleted", () => {
  attached();
  host.takeCalls();
  const process = host.instanceKernel.instances.get("i-2")!.process;
  host.instanceKernel.instances.set("i-2", { process, deleted: true });
  host.deviceKernel.pairs.clear(); // a pair goes with either end
  expect(host.reconciler.observe()).toBe(true);
  host.pass();
  expect(host.takeCalls()).toEqual([
    ...[
      "datapath.closeEndpoint",
      "instances.create",
      "instances.setDnsServers",
      "instances.setIdentity",
      "devices.ensure",
      "datapath.guardDevice",
    ],
    "datapath.putEndpoint",
  ]);
  expect(host.reconciler.observe()).toBe(false);
});

it("tells when a process ends", () => {
  attached();
  host.reconciler.statuses.takeNew();
  host.instanceKernel.instances.set("i-2", { process: { state: "exited", detail: "signal SIGKILL" } });
  expect(host.reconciler.observe()).toBe(true);
  host.pass();
  const report = host.reconciler.statuses.takeNew();
  expect(report.instances).toMatchObject([{ instanceId: "i-2", processRunning: false, message: "its process ended: signal SIGKILL" }]);
  expect(report.attachments).toEqual([]);
  expect(host.reconciler.observe()).toBe(false);
});
