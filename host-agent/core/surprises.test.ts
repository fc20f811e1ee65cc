import { beforeEach, expect, it } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";
import { piecesOf } from "../testing/mapping-batches.ts";
import type { Mapping } from "./ports.ts";

// What the feed says later, or the host does by itself, beside the usual order (order.test.ts).

let host: FakeHost;
let refusal: Error | undefined;
beforeEach(() => {
  refusal = undefined;
  const fault = (call: string): void => {
    if (refusal !== undefined && call === "datapath.putRuleset") throw refusal;
  };
  host = new FakeHost({ fault });
  host.snapshot(new FeedWorld());
  tell(instance(instanceItem(2)), attachment(attachmentItem(1, 2)), ruleset(rulesetItem(1)));
  host.takeCalls();
  host.reconciler.statuses.takeNew();
});

function tell(...items: HostItem[]): void {
  host.change({ scope: "host", items });
  host.pass();
}

it("opens on the device that is there when another has taken its place", () => {
  host.deviceKernel.pairs.get(1)!.ifindex = 77;
  expect(host.reconciler.observe()).toBe(true);
  host.pass();
  expect(host.takeCalls()).toEqual(["devices.ensure", "datapath.guardDevice", "datapath.putEndpoint"]);
  expect(host.pins.endpoints.get(1)?.ifindex).toBe(77);
});

it("removes from a network what a new snapshot of it does not hold", () => {
  const mapping = (last: number): Mapping => ({
    ...{ vni: 101, prefix: `10.0.101.${last}/32`, hostAddress: "198.18.0.9", wireId: last, groupSetId: 1 },
  });
  host.reconciler.mappings.replace(101, piecesOf([mapping(8), mapping(9)]), 4n);
  host.pass();
  expect(host.pins.mappings.size).toBe(2);
  host.reconciler.mappings.replace(101, piecesOf([mapping(9)]), 7n);
  host.pass();
  expect([...host.pins.mappings.values()]).toEqual([mapping(9)]);
  expect(host.reconciler.mappings.appliedVersion(101)).toBe(7n);
  expect(host.reconciler.mappings.wantedVersion(101)).toBe(7n);
  tell(attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT, generation: 2n })));
  expect(host.reconciler.mappings.wantedVersion(101)).toBeUndefined();
});

it("says which attachment keeps an instance that is to go", () => {
  tell(instance(instanceItem(2, { wanted: Wanted.ABSENT, generation: 2n })));
  const message = "eni-attach-1 is still to be attached to it";
  expect(host.reconciler.statuses.takeNew().instances).toMatchObject([{ instanceId: "i-2", state: AppliedState.FAILED, message }]);
});

it("closes for a ruleset that cannot be put its own interfaces only, and tries it again when it is told again", () => {
  tell(attachment(attachmentItem(4, 2, { deviceIndex: 1, rulesetId: 5 })), ruleset(rulesetItem(5)));
  expect([...host.pins.endpoints.keys()]).toEqual([1, 4]);
  refusal = new RangeError("at most 64 rules");
  tell(attachment(attachmentItem(1, 2, { rulesetId: 2, generation: 2n })), ruleset(rulesetItem(2)));
  expect([...host.pins.endpoints.keys()]).toEqual([4]);
  refusal = undefined;
  host.takeCalls();
  tell(ruleset(rulesetItem(2)));
  expect(host.takeCalls()).toEqual(["datapath.putRuleset", "datapath.putEndpoint"]);
  expect(host.pins.endpoints.get(1)?.rulesetId).toBe(2);
});

it("closes what has no device any more, or another's, also where no feed says anything yet", () => {
  tell(instance(instanceItem(3)), attachment(attachmentItem(2, 3)));
  const { pairs } = host.deviceKernel;
  const [first, second] = [pairs.get(1)!, pairs.get(2)!];
  // While nobody looked the one went, and the other got its number.
  pairs.delete(1);
  second.ifindex = first.ifindex;
  host.restart();
  host.takeCalls();
  host.pass();
  expect(host.takeCalls()).toEqual(["datapath.closeEndpoint", "datapath.closeEndpoint"]);
  expect(host.pins.endpoints.size).toBe(0);
  host.pass();
  expect(host.takeCalls()).toEqual([]);
});
