import fc from "fast-check";
import { expect, test } from "vitest";
import { WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import type { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import { MappingReceiver } from "#lib/mapping/receiver.ts";
import { refusedFrame } from "./frames.ts";
import { NetworkFeed } from "./network-feed.ts";
import type { NetworkDelta } from "./network-feed.ts";
import { receive, targetsOf } from "../testing/holding.ts";
import { WatchSession } from "./watch-session.ts";

const NETWORK = 77n;
let marks = 0n;
const change = (version: bigint, items: MappingItem[]): NetworkDelta => ({ version, mark: (marks += 1n), items });
const never = (): never => expect.unreachable("nothing is broken here");

function newFeed(options: { leastLogOctets?: number; snapshotRecords?: number; onFault?: (item: MappingItem) => void } = {}): NetworkFeed {
  return new NetworkFeed({ networkId: NETWORK, vni: 5, seed: 1, onFault: never, ...options });
}

/** A host's side: what it would hold in its kernel, by the receiver's rules. */
function host(): { receiver: MappingReceiver; held: Map<string, string[]>; take(session: WatchSession, frames: number): string[] } {
  const receiver = new MappingReceiver();
  const held = new Map<string, string[]>();
  return {
    receiver,
    held,
    take(session, frames) {
      const kinds: string[] = [];
      for (let taken = 0; taken < frames; taken += 1) {
        const frame = session.next();
        if (frame === undefined) break;
        const response = WatchMappingsResponse.decode(frame);
        kinds.push(response.message?.$case ?? "nothing");
        receive(receiver, held, response);
      }
      return kinds;
    },
  };
}

const frameOf = (next: ReturnType<NetworkFeed["next"]>): Uint8Array => (typeof next === "object" ? next.frame : new Uint8Array());

const wanted = (feed: NetworkFeed): Map<string, string[]> =>
  new Map([...feed.table.items()].map(({ prefix, targets }) => [prefix, targetsOf(targets)]));

const item: fc.Arbitrary<MappingItem> = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }))
  .map(([last, ids]) => itemOf(last, ids));

function itemOf(last: number, ids: number[]): MappingItem {
  const hex = (id: number): string => id.toString(16).padStart(32, "0");
  const targets = ids.map((id) => ({
    interfaceId: `eni-${hex(id)}`,
    attachmentId: `eni-attach-${hex(id)}`,
    wireId: id,
    hostId: `host-${hex(id)}`,
    hostAddress: `198.18.0.${id}`,
    groupSetId: id,
    macAddress: "02:00:00:00:00:01",
    weight: 1,
  }));
  return { prefix: `10.0.0.${last}/32`, targets };
}

type Step = { change: MappingItem[] } | { read: number } | { reload: true } | { resubscribe: true };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.array(item, { maxLength: 4 }).map((change) => ({ change })) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }).map((read) => ({ read })) },
  { weight: 1, arbitrary: fc.constant<Step>({ reload: true }) },
  { weight: 1, arbitrary: fc.constant<Step>({ resubscribe: true }) },
);

test("however slowly a host reads, and whatever comes between, in the end it holds what there is", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.constantFrom(0, 200, 100_000),
      fc.integer({ min: 1, max: 4 }),
      (steps, leastLogOctets, snapshotRecords) => {
        const feed = newFeed({ leastLogOctets, snapshotRecords });
        const session = new WatchSession();
        const { receiver, held, take } = host();
        const subscribe = (): void => {
          const { message } = receiver.subscribe(NETWORK);
          if (message?.$case === "subscribe") session.open(feed, message.value.subscription);
        };
        subscribe();
        for (const one of steps) {
          if ("change" in one) expect(feed.apply(change(feed.version + 1n, one.change))).toBe("applied");
          else if ("read" in one) take(session, one.read);
          else if ("reload" in one) {
            const table = feed.newTable();
            for (const kept of feed.table.items()) table.set(kept);
            // A database that was set back: fewer versions, another content.
            table.set(itemOf(1, [4]));
            feed.replace({ version: feed.version > 0n ? feed.version - 1n : 0n, mark: (marks += 1n) }, table);
          } else subscribe();
          session.wake(NETWORK);
        }
        take(session, 10_000);
        expect(held).toEqual(wanted(feed));
        expect(receiver.version(NETWORK)).toBe(feed.version);
      },
    ),
    { numRuns: 300 },
  );
});

test("a change is encoded once for all", () => {
  const feed = newFeed();
  const sessions = [new WatchSession(), new WatchSession()];
  for (const session of sessions) session.open(feed, 1n);
  for (const session of sessions) while (session.next() !== undefined);
  feed.apply(change(1n, [itemOf(1, [1])]));
  const frames = sessions.map((session) => (session.wake(NETWORK), session.next()));
  expect(frames[0]).toBeDefined();
  expect(frames[1]).toBe(frames[0]);
});

test("who lags further than a snapshot costs gets one, with its own subscription, and no gap", () => {
  const feed = newFeed({ leastLogOctets: 0 });
  const session = new WatchSession();
  const { receiver, held, take } = host();
  receiver.subscribe(NETWORK);
  session.open(feed, 1n);
  expect(take(session, 10)).toEqual(["begin", "inSync"]);
  for (let version = 1n; version <= 100n; version += 1n) feed.apply(change(version, [itemOf(Number(version % 5n) + 1, [1])]));
  session.wake(NETWORK);
  expect(take(session, 10)).toEqual(["historyGone", "begin", "snapshot", "inSync"]);
  expect(held).toEqual(wanted(feed));
  expect(receiver.version(NETWORK)).toBe(100n);
});

test("who lags a little gets each version", () => {
  const feed = newFeed();
  const session = new WatchSession();
  const { receiver, take } = host();
  receiver.subscribe(NETWORK);
  session.open(feed, 1n);
  take(session, 10);
  for (let version = 1n; version <= 3n; version += 1n) feed.apply(change(version, [itemOf(1, [1])]));
  session.wake(NETWORK);
  expect(take(session, 10)).toEqual(["delta", "delta", "delta"]);
});

test("stale and missing versions change nothing", () => {
  const feed = newFeed();
  expect(feed.apply(change(1n, [itemOf(1, [1])]))).toBe("applied");
  const before = wanted(feed);
  expect(feed.apply(change(1n, [itemOf(1, [2])]))).toBe("stale");
  expect(feed.apply(change(3n, [itemOf(1, [3])]))).toBe("gap");
  expect([feed.version, wanted(feed)]).toEqual([1n, before]);
});

test("a broken item is reported and left out, the rest of its version is kept", () => {
  const faults: string[] = [];
  const feed = newFeed({ onFault: ({ prefix }) => faults.push(prefix) });
  expect(feed.apply(change(1n, [{ ...itemOf(1, [1]), prefix: "nonsense" }, itemOf(2, [2])]))).toBe("applied");
  expect(faults).toEqual(["nonsense"]);
  expect([...wanted(feed).keys()]).toEqual(["10.0.0.2/32"]);
  expect(WatchMappingsResponse.decode(frameOf(feed.next({ version: 0n, mark: 0n }))).message).toMatchObject({
    value: { items: [{ prefix: "10.0.0.2/32" }] },
  });
});

test("a snapshot is shared, packed anew only where something changed, and forgotten when nobody asks", () => {
  const feed = newFeed({ snapshotRecords: 2 });
  feed.apply(
    change(
      1n,
      [1, 2, 3, 4].map((last) => itemOf(last, [1])),
    ),
  );
  const first = feed.snapshot();
  expect(feed.snapshot()).toBe(first);
  expect(first.frames.length).toBe(3);
  feed.apply(change(2n, [itemOf(4, [])]));
  const second = feed.snapshot();
  expect([second.at.version, second.frames.length]).toEqual([2n, 3]);
  expect(second.frames[0]).toBe(first.frames[0]);
  expect(second.frames[1]).not.toBe(first.frames[1]);
  feed.rest();
  expect(feed.snapshot()).toBe(second);
  feed.rest();
  feed.rest();
  expect(feed.snapshot().frames[0]).not.toBe(first.frames[0]);
  expect(feed.snapshot().frames).toEqual(second.frames);
});

test("networks take turns: a long snapshot does not hold up another network", () => {
  const large = newFeed({ snapshotRecords: 1 });
  large.apply(
    change(
      1n,
      [1, 2, 3, 4, 5, 6].map((last) => itemOf(last, [1])),
    ),
  );
  const small = new NetworkFeed({ networkId: 78n, vni: 6, seed: 1, onFault: never });
  const session = new WatchSession();
  session.open(large, 1n);
  session.open(small, 2n);
  const order = Array.from({ length: 4 }, () => WatchMappingsResponse.decode(session.next() ?? new Uint8Array()).networkId);
  expect(order).toEqual([77n, 78n, 77n, 78n]);
});

test("after a refusal nothing more of the network comes, until it is opened again", () => {
  const feed = newFeed();
  const session = new WatchSession();
  const { receiver, take } = host();
  receiver.subscribe(NETWORK);
  session.open(feed, 1n);
  take(session, 1);
  session.refuse(NETWORK, 1n, "why");
  feed.apply(change(1n, [itemOf(1, [1])]));
  session.wake(NETWORK);
  expect(take(session, 10)).toEqual(["refused"]);
  receiver.subscribe(NETWORK);
  session.open(feed, 2n);
  expect(take(session, 10)).toEqual(["begin", "snapshot", "inSync"]);
  expect(receiver.version(NETWORK)).toBe(1n);
});

test("a refusal tells no VNI", () => {
  expect(WatchMappingsResponse.decode(refusedFrame(9n, 4n, "why"))).toEqual({
    networkId: 9n,
    vni: 0,
    bookmark: Buffer.alloc(0),
    message: { $case: "refused", value: { message: "why", subscription: 4n } },
  });
});
