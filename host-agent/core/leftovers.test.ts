import { beforeEach, expect, it } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld } from "../testing/feed-world.ts";
import { attachOne, newStates, tellHost } from "../testing/told-host.ts";

let host: FakeHost;
let world: FeedWorld;
beforeEach(() => {
  host = new FakeHost();
  world = new FeedWorld();
});

const tell = (...items: HostItem[]): void => tellHost(host, world, items);
const attached = (): void => attachOne(host, world);

const detached = (): HostItem => attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT, generation: 2n }));
const states = () => newStates(host);

it("removes devices of several attachments at once, and answers an attach first", () => {
  attached();
  for (const n of [3, 4]) tell(attachment(attachmentItem(n, 2, { deviceIndex: n })));
  host.pass();
  host.takeCalls();
  states();
  tell(detached());
  for (const n of [3, 4]) tell(attachment(attachmentItem(n, 2, { deviceIndex: n, wanted: Wanted.ABSENT, generation: 2n })));
  for (host.now of [0, 50]) host.pass();
  expect(states().map(([, state]) => state)).toEqual([AppliedState.ABSENT, AppliedState.ABSENT, AppliedState.ABSENT]);
  host.takeCalls();
  host.now = 60;
  tell(attachment(attachmentItem(5, 2, { deviceIndex: 5 })));
  const { wakeAt } = host.reconciler.pass();
  expect(host.takeCalls()).not.toContain("devices.remove");
  expect([wakeAt, states()]).toEqual([60, [["eni-attach-5", AppliedState.PRESENT, ""]]]);
  host.pass();
  expect(host.takeCalls()).toEqual(["devices.remove"]);
  expect([...host.deviceKernel.pairs.keys()]).toEqual([5]);
});

it("removes each by itself where they cannot go together, and one that cannot go keeps no other", () => {
  let stuck = 2;
  host = new FakeHost({
    fault: (call) => {
      if (call === "devices.remove" && stuck-- > 0) throw new Error("EBUSY");
    },
  });
  attached();
  tell(attachment(attachmentItem(3, 2, { deviceIndex: 3 })));
  host.pass();
  tell(detached(), attachment(attachmentItem(3, 2, { deviceIndex: 3, wanted: Wanted.ABSENT, generation: 2n })));
  for (host.now of [0, 50, 60]) host.pass();
  expect(host.failures).toEqual(["removal of devices: EBUSY", "device of 1: EBUSY"]);
  expect([...host.deviceKernel.pairs.keys()]).toEqual([1]);
  host.now = 200;
  host.pass();
  host.now = 210;
  host.pass();
  expect(host.deviceKernel.pairs.size).toBe(0);
});

it("removes after a restart what was said to be gone and was not removed any more", () => {
  attached();
  tell(detached());
  for (host.now of [0, 50]) host.pass();
  expect(states().at(-1)?.[1]).toBe(AppliedState.ABSENT);
  expect(host.deviceKernel.pairs.size).toBe(1);
  host.restart(); // the coordinator has heard of it: it asks for nothing any more
  world.attachments.clear();
  host.snapshot(world);
  for (host.now of [100, 150, 160]) host.pass();
  expect(host.deviceKernel.pairs.size).toBe(0);
  expect(host.pins.endpoints.size).toBe(0);
});
