import fc from "fast-check";
import { expect, test } from "vitest";
import { WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import type { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import { decodeBookmark } from "#lib/feed/feed.ts";
import { MappingReceiver } from "#lib/mapping/receiver.ts";
import type { MappingBookmark } from "#lib/mapping/receiver.ts";
import { target } from "../testing/coordinator.ts";
import { receive, targetsOf } from "../testing/holding.ts";
import type { MappingTable } from "./mapping-table.ts";
import { NetworkFeed } from "./network-feed.ts";
import type { PastDelta } from "./network-feed.ts";
import { WatchSession } from "./watch-session.ts";

const NETWORK = 77n;
const never = (): never => expect.unreachable("nothing is broken here");
const newFeed = (leastLogOctets = 100_000): NetworkFeed =>
  new NetworkFeed({ networkId: NETWORK, vni: 5, seed: 1, onFault: never, leastLogOctets, snapshotRecords: 2 });

/** The network as the database has it: rows, and the log of what made them. */
class Truth {
  log: PastDelta[] = [];
  static #marks = 0n;

  get at(): { version: bigint; mark: bigint } {
    return this.log.at(-1) ?? { version: 0n, mark: 0n };
  }

  write(items: MappingItem[]): PastDelta {
    const { version, mark: prevMark } = this.at;
    const delta = { version: version + 1n, mark: (Truth.#marks += 1n), prevMark, items };
    this.log.push(delta);
    return delta;
  }

  /** A backup was put back: the newest changes never were. */
  setBack(changes: number): void {
    this.log.splice(Math.max(0, this.log.length - changes));
  }

  /** Reads everything into a feed, as a copy of the service does that starts; `past`: changes that it finds in the log. */
  load(feed: NetworkFeed, past: number): void {
    const table = feed.newTable();
    for (const { items } of this.log) for (const item of items) table.set(item);
    feed.replace(this.at, table, past === 0 ? [] : this.log.slice(-past));
  }
}

/** A host whose streams break; what it holds it keeps. */
class Host {
  readonly held = new Map<string, string[]>();
  readonly bookmarks = new Map<bigint, MappingBookmark>();
  receiver = new MappingReceiver(this.bookmarks);
  session = new WatchSession();
  kinds: string[] = [];

  /** A new stream to this copy. */
  connect(feed: NetworkFeed): void {
    this.receiver = new MappingReceiver(this.bookmarks);
    this.session = new WatchSession();
    const { message } = this.receiver.subscribe(NETWORK);
    if (message?.$case !== "subscribe") return never();
    this.session.open(feed, message.value.subscription, decodeBookmark(message.value.resumeToken));
  }

  take(frames = Infinity): string[] {
    const from = this.kinds.length;
    this.session.wake(NETWORK);
    for (let taken = 0; taken < frames; taken += 1) {
      const frame = this.session.next();
      if (frame === undefined) break;
      const response = WatchMappingsResponse.decode(frame);
      this.kinds.push(response.message?.$case ?? "nothing");
      receive(this.receiver, this.held, response);
    }
    return this.kinds.slice(from);
  }
}

const contentOf = (table: MappingTable): Map<string, string[]> =>
  new Map([...table.items()].map(({ prefix, targets }) => [prefix, targetsOf(targets)]));

const itemOf = (last: number, ...ids: number[]): MappingItem => ({ prefix: `10.0.0.${last}/32`, targets: ids.map((id) => target(id)) });
const item = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }))
  .map(([last, ids]) => itemOf(last, ...ids));
const change = fc.array(item, { minLength: 1, maxLength: 4 });

type Step =
  | { change: MappingItem[] }
  | { read: number }
  | { cut: number }
  | { reload: number; past: number }
  | { setBack: number; then: MappingItem[][] };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: change.map((one) => ({ change: one })) },
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 5 }).map((read) => ({ read })) },
  { weight: 3, arbitrary: fc.nat(1).map((cut) => ({ cut })) },
  { weight: 1, arbitrary: fc.record({ reload: fc.nat(1), past: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ setBack: fc.integer({ min: 1, max: 4 }), then: fc.array(change, { maxLength: 6 }) }) },
);

test("cut at any message and resumed with the last bookmark, at any copy of the service: in the end as from scratch", () => {
  let resumed = 0;
  let gone = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), fc.constantFrom(0, 300, 100_000), (steps, leastLogOctets) => {
      const truth = new Truth();
      const copies = [newFeed(leastLogOctets), newFeed(leastLogOctets)] as const;
      const host = new Host();
      let at: 0 | 1 = 0;
      host.connect(copies[at]);
      for (const one of steps) {
        if ("change" in one) {
          const delta = truth.write(one.change);
          for (const feed of copies) expect(feed.apply(delta)).toBe("applied");
        } else if ("read" in one) host.take(one.read);
        else if ("cut" in one) host.connect(copies[(at = one.cut as 0 | 1)]);
        else if ("reload" in one) truth.load(copies[one.reload as 0 | 1], one.past);
        else {
          truth.setBack(one.setBack);
          for (const items of one.then) truth.write(items);
          for (const feed of copies) truth.load(feed, one.then.length);
        }
      }
      host.take();
      host.connect(copies[at]);
      host.take();
      const scratch = newFeed();
      truth.load(scratch, 0);
      expect(host.held).toEqual(contentOf(scratch.table));
      expect(host.receiver.version(NETWORK)).toBe(truth.at.version);
      resumed += host.kinds.filter((kind) => kind === "resumed").length;
      gone += host.kinds.filter((kind) => kind === "historyGone").length;
    }),
    { numRuns: 500 },
  );
  expect(resumed, "streams that went on").toBeGreaterThan(500);
  expect(gone, "streams whose history was gone").toBeGreaterThan(50);
});

test("who comes back gets only what it missed, in sync once, and then goes on", () => {
  const truth = new Truth();
  const feed = newFeed();
  const host = new Host();
  host.connect(feed);
  feed.apply(truth.write([itemOf(1, 1)]));
  expect(host.take()).toEqual(["begin", "snapshot", "inSync"]);
  host.connect(feed);
  expect(host.take()).toEqual(["resumed", "inSync"]);
  for (const id of [2, 3]) feed.apply(truth.write([itemOf(id, id)]));
  host.connect(feed);
  expect(host.take()).toEqual(["resumed", "delta", "delta", "inSync"]);
  feed.apply(truth.write([itemOf(1)]));
  expect(host.take()).toEqual(["delta"]);
  expect([...host.held.keys()]).toEqual(["10.0.0.2/32", "10.0.0.3/32"]);
});

test("a copy that was just started goes on from what it finds in the log, and no further back", () => {
  const truth = new Truth();
  const first = newFeed();
  const [quick, slow] = [new Host(), new Host()];
  for (const host of [quick, slow]) host.connect(first);
  slow.take();
  for (const id of [1, 2, 3, 4, 5]) first.apply(truth.write([itemOf(id, id)]));
  quick.take();
  const second = newFeed();
  truth.load(second, 3);
  quick.connect(second);
  expect(quick.take()).toEqual(["resumed", "inSync"]);
  slow.connect(second);
  expect(slow.take()[0]).toBe("historyGone");
  expect(slow.held).toEqual(quick.held);
});

test("a version of a database that was set back is another one, also when the numbers are the same again", () => {
  const truth = new Truth();
  const feed = newFeed();
  for (const id of [1, 2, 3]) feed.apply(truth.write([itemOf(id, id)]));
  const host = new Host();
  host.connect(feed);
  host.take();
  truth.setBack(1);
  truth.write([itemOf(4, 4)]);
  truth.load(feed, 3);
  host.connect(feed);
  expect(host.take().slice(0, 2)).toEqual(["historyGone", "begin"]);
  expect([...host.held.keys()].sort()).toEqual(["10.0.0.1/32", "10.0.0.2/32", "10.0.0.4/32"]);
  // On an open stream, too.
  truth.setBack(1);
  truth.write([itemOf(5, 5)]);
  truth.load(feed, 3);
  expect(host.take().slice(0, 2)).toEqual(["historyGone", "begin"]);
  expect([...host.held.keys()].sort()).toEqual(["10.0.0.1/32", "10.0.0.2/32", "10.0.0.5/32"]);
});

test("a token that is none costs a snapshot", () => {
  const feed = newFeed();
  feed.apply(new Truth().write([itemOf(1, 1)]));
  for (const token of [
    Buffer.from("x"),
    Buffer.alloc(17, 0xff),
    Buffer.concat([Buffer.from([1]), Buffer.alloc(16, 0xff)]),
    Buffer.alloc(500),
  ]) {
    const session = new WatchSession();
    session.open(feed, 1n, decodeBookmark(token));
    const kinds = Array.from({ length: 4 }, () => WatchMappingsResponse.decode(session.next() ?? new Uint8Array()).message?.$case);
    expect(kinds).toEqual(["historyGone", "begin", "snapshot", "inSync"]);
  }
});

test("one list of changes, told in other pieces, ends in one index", () => {
  const from = (changes: readonly (readonly MappingItem[])[]): Map<string, string[]> => {
    const feed = newFeed();
    changes.forEach((items, index) => feed.apply({ version: BigInt(index + 1), mark: BigInt(index + 1), items }));
    return contentOf(feed.table);
  };
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), fc.array(fc.nat(5), { maxLength: 30 }), (changes, cuts) => {
      // What the last of each prefix says: an index made of rows has nothing else.
      const last = new Map(changes.flat().map((one) => [one.prefix, one]));
      const scratch = from([[...last.values()]]);
      const items = changes.flat();
      const pieces = cuts.map((size) => items.splice(0, size));
      expect(from(changes), "one by one").toEqual(scratch);
      expect(from(changes.flat().map((one) => [one])), "split").toEqual(scratch);
      expect(from([...pieces, items]), "cut elsewhere").toEqual(scratch);
      expect(from([changes.flat()]), "squashed").toEqual(scratch);
      // Each prefix's last word is one item: their order means nothing, nor does hearing it twice.
      expect(from([[...last.values()].reverse(), [...last.values()]]), "reversed").toEqual(scratch);
      expect(from([...changes, [...last.values()].reverse()]), "told again").toEqual(scratch);
    }),
  );
});
