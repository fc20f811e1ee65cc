import { beforeEach, describe, expect, it } from "vitest";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";
import { FeedBroken, HostWanted } from "./wanted.ts";

const token = (text: string): Buffer => Buffer.from(text);
const present = attachment(attachmentItem(1, 2));
const absent = attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT, generation: 2n }));

describe("what a session that goes on was told", () => {
  let host: FakeHost;
  let world: FeedWorld;
  beforeEach(() => {
    host = new FakeHost();
    world = new FeedWorld();
    host.snapshot(world);
    host.change({ scope: "host", items: [instance(instanceItem(2)), ruleset(rulesetItem(1))] });
    host.pass();
    host.reconciler.statuses.takeAll();
    host.takeCalls();
  });

  it("never wants what came and went meanwhile, not even between two messages", () => {
    host.miss({ scope: "host", items: [present] });
    host.miss({ scope: "host", items: [absent] });
    const { host: wanted } = host.reconciler;
    wanted.beginSnapshot();
    wanted.resume(1n);
    wanted.change({ version: 2n, inSnapshot: false, items: [present] });
    host.pass();
    wanted.change({ version: 3n, inSnapshot: false, items: [absent] });
    host.pass();
    expect(host.takeCalls()).toEqual([]);
    wanted.complete(3n);
    host.pass();
    expect(host.takeCalls()).toEqual([]);
    expect(host.reconciler.statuses.takeAll().attachments).toMatchObject([{ generation: 2n, state: AppliedState.ABSENT }]);
  });

  it("keeps what it does not mention, and touches nothing of it", () => {
    host.change({ scope: "host", items: [present] });
    host.pass();
    host.takeCalls();
    host.miss({ scope: "host", items: [attachment(attachmentItem(4, 2, { deviceIndex: 1 }))] });
    host.resume(world);
    host.pass();
    expect([...host.pins.endpoints.keys()]).toEqual([1, 4]);
    expect(host.takeCalls().filter((call) => /close|remove|delete/.test(call))).toEqual([]);
  });

  /** Detached, acknowledged into a stream that broke, and forgotten. */
  function acknowledgedInVain(): void {
    host.change({ scope: "host", items: [present] });
    host.pass();
    host.change({ scope: "host", items: [absent, instance(instanceItem(2, { wanted: Wanted.ABSENT, generation: 2n }))] });
    for (host.now of [0, 50]) host.pass();
    host.reconciler.statuses.takeNew();
  }

  /** Passes at these times, each told to a session that breaks. */
  async function pass(...times: number[]): Promise<void> {
    for (host.now of times) {
      host.pass();
      host.reconciler.statuses.takeNew();
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve(); // a fake's removal of an instance
    }
  }

  const owed: HostItem[] = [structuredClone(absent), instance(instanceItem(2, { wanted: Wanted.ABSENT, generation: 2n }))];
  const states = () => {
    const { attachments, instances } = host.reconciler.statuses.takeAll();
    return [...attachments, ...instances].map(({ state }) => state);
  };

  it("acknowledges again what it had forgotten and is owed", async () => {
    acknowledgedInVain();
    await pass(60, 70, 40_000, 40_010);
    const { host: wanted } = host.reconciler;
    expect([wanted.attachment("eni-attach-1"), wanted.instance("i-2")]).toEqual([undefined, undefined]);
    wanted.beginSnapshot();
    wanted.resume(3n);
    wanted.owed({ version: 3n, items: owed });
    wanted.complete(3n);
    host.pass();
    expect(states()).toEqual([AppliedState.ABSENT, AppliedState.ABSENT]);
  });

  it("acknowledges what it forgets in the very moment in which it is owed", async () => {
    acknowledgedInVain();
    const { host: wanted } = host.reconciler;
    wanted.beginSnapshot();
    wanted.resume(3n);
    wanted.owed({ version: 3n, items: owed });
    await pass(60, 70, 40_000, 40_010); // the meter's time is over
    expect([wanted.attachment("eni-attach-1"), wanted.instance("i-2")]).toEqual([undefined, undefined]);
    wanted.complete(3n);
    host.pass();
    expect(states()).toEqual([AppliedState.ABSENT, AppliedState.ABSENT]);
  });
});

describe("the token", () => {
  let wanted: HostWanted;
  beforeEach(() => {
    wanted = new HostWanted();
    wanted.beginSnapshot();
    wanted.change({ version: 1n, inSnapshot: true, items: [present] });
    wanted.complete(1n, token("one"));
  });

  it("is for just what is held", () => {
    expect(new HostWanted().bookmark).toHaveLength(0);
    expect(wanted.bookmark).toEqual(token("one"));
    wanted.change({ version: 2n, inSnapshot: false, items: [] }, token("two"));
    expect(wanted.bookmark).toEqual(token("two"));
    wanted.beginSnapshot();
    wanted.change({ version: 5n, inSnapshot: true, items: [] });
    expect(wanted.bookmark, "a snapshot that is not whole is set aside").toEqual(token("two"));
    wanted.beginSnapshot();
    wanted.resume(2n);
    wanted.change({ version: 3n, inSnapshot: false, items: [absent] }, token("three"));
    expect(wanted.bookmark, "and so is what was missed").toEqual(token("two"));
    expect(wanted.attachment("eni-attach-1")?.wanted).toBe(Wanted.PRESENT);
    wanted.beginSnapshot();
    wanted.resume(2n);
    wanted.change({ version: 3n, inSnapshot: false, items: [absent] }, token("three"));
    wanted.complete(3n, token("three"));
    expect([wanted.bookmark, wanted.attachment("eni-attach-1")?.wanted]).toEqual([token("three"), Wanted.ABSENT]);
  });

  it("is none of half a change, of a feed that gives none, and of one that broke its rules", () => {
    expect(() => wanted.change({ version: 2n, inSnapshot: false, items: [absent, {}] as HostItem[] }, token("two"))).toThrow(FeedBroken);
    expect(wanted.bookmark).toHaveLength(0);
    wanted.beginSnapshot();
    wanted.complete(3n);
    expect(wanted.bookmark).toHaveLength(0);
    wanted.change({ version: 4n, inSnapshot: false, items: [] }, token("four"));
    wanted.distrust();
    expect(wanted.bookmark).toHaveLength(0);
  });

  it("is of no use for another version, before a first snapshot, or out of order", () => {
    const fresh = new HostWanted();
    fresh.beginSnapshot();
    expect(() => fresh.resume(0n)).toThrow(FeedBroken);
    expect(() => wanted.resume(1n)).toThrow(FeedBroken);
    wanted.beginSnapshot();
    expect(() => wanted.resume(2n)).toThrow(FeedBroken);
    expect(() => wanted.owed({ version: 1n, items: [] })).toThrow(FeedBroken);
    wanted.resume(1n);
    expect(() => wanted.change({ version: 3n, inSnapshot: false, items: [] })).toThrow(FeedBroken);
    expect(() => wanted.change({ version: 1n, inSnapshot: true, items: [] })).toThrow(FeedBroken);
    expect(() => wanted.owed({ version: 2n, items: [] })).toThrow(FeedBroken);
    expect(() => wanted.complete(2n)).toThrow(FeedBroken);
  });
});
