import fc from "fast-check";
import { expect, test } from "vitest";
import { batchesOf, changeOf, mappingsOf, piecesOf } from "../testing/mapping-batches.ts";
import { HostNumbers } from "./host-numbers.ts";
import { MappingRows } from "./mapping-rows.ts";
import type { Mapping } from "./ports.ts";
import { DeltaTracker } from "./tracker.ts";

// The rows must be what a tracker is: it is the specification here, with objects and text.

const VNI = 7;
const rowsOf = (seed = 1): MappingRows => new MappingRows(seed, new HostNumbers());
const mapping = (prefix: string, host = 1, wireId = 1): Mapping => ({
  ...{ vni: VNI, prefix, hostAddress: `198.18.0.${host}`, wireId, groupSetId: host },
});
const same = (a: Mapping, b: Mapping): boolean => a.wireId === b.wireId && a.hostAddress === b.hostAddress && a.groupSetId === b.groupSetId;
const all = Infinity;
const news = (mappings: readonly Mapping[]): [string[], readonly Mapping[]] => [mappings.map(({ prefix }) => prefix), mappings];

const prefix = fc.oneof(
  fc.nat({ max: 40 }).map((n) => `10.0.0.${n}/32`),
  fc.nat({ max: 5 }).map((n) => `fd00::${n + 1}/128`),
);
const one = fc.tuple(prefix, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).map((made) => mapping(...made));
const few = fc.uniqueArray(one, { selector: (made) => made.prefix, maxLength: 12 });
const event = fc.oneof(
  fc.record({ kind: fc.constant("whole" as const), mappings: few, size: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant("change" as const), mappings: few, gone: fc.uniqueArray(prefix, { maxLength: 4 }) }),
  fc.record({ kind: fc.constantFrom("put" as const, "delete" as const), limit: fc.nat({ max: 9 }), fails: fc.boolean() }),
  fc.record({ kind: fc.constant("leave" as const) }),
);

const sorted = (mappings: Iterable<Mapping>): string[] => [...mappings].map((made) => JSON.stringify(Object.entries(made).sort())).sort();

test("want, hold and differ as a tracker does, whatever happens in whatever order", () => {
  fc.assert(
    fc.property(fc.integer(), few, fc.array(event, { maxLength: 30 }), (seed, found, events) => {
      const rows = rowsOf(seed);
      const tracker = new DeltaTracker<string, Mapping>(same);
      for (const batch of batchesOf(found)) rows.adopt(batch);
      for (const made of found) tracker.present(made.prefix, made);
      const wanted = new Map<string, Mapping>();
      const want = (news: ReadonlyMap<string, Mapping | undefined>): void => {
        for (const [prefix, made] of news) {
          if (made === undefined) wanted.delete(prefix);
          else wanted.set(prefix, made);
          if (made === undefined) tracker.unwant(prefix);
          else tracker.want(prefix, made);
        }
      };
      for (const step of events) {
        switch (step.kind) {
          case "whole": {
            rows.beginWhole(step.mappings.length);
            for (const piece of piecesOf(step.mappings, step.size)) rows.want(piece);
            rows.endWhole();
            want(new Map([...wanted.keys()].map((prefix) => [prefix, undefined])));
            want(new Map(step.mappings.map((made) => [made.prefix, made])));
            break;
          }
          case "change": {
            const news = new Map<string, Mapping | undefined>(step.mappings.map((made) => [made.prefix, made]));
            for (const prefix of step.gone) news.set(prefix, undefined);
            const { prefixes, mappings } = changeOf(...news);
            rows.change(prefixes, mappings);
            want(news);
            break;
          }
          case "put": {
            const { others, fresh } = rows.pendingPuts(step.limit);
            const [there, not] = [others, fresh].map((some) => mappingsOf([rows.batch(VNI, some)]));
            expect(there!.every((made) => tracker.possible(made.prefix) !== undefined)).toBe(true);
            expect(not!.every((made) => tracker.possible(made.prefix) === undefined)).toBe(true);
            for (const made of [...there!, ...not!]) {
              expect(made).toEqual(wanted.get(made.prefix));
              if (step.fails) tracker.doubt(made.prefix, made);
              else tracker.present(made.prefix, made);
            }
            for (const some of [others, fresh]) {
              if (step.fails) rows.doubt(some);
              else rows.made(some);
            }
            break;
          }
          case "delete": {
            const gone = rows.pendingDeletes(step.limit);
            for (const { prefix } of mappingsOf([rows.batch(VNI, gone)])) {
              expect([wanted.has(prefix), tracker.possible(prefix) !== undefined]).toEqual([false, true]);
              if (!step.fails) tracker.absent(prefix);
            }
            if (step.fails) rows.doubt(gone);
            else rows.gone(gone);
            break;
          }
          case "leave":
            rows.unwantAll();
            want(new Map([...wanted.keys()].map((prefix) => [prefix, undefined])));
            break;
        }
        const puts = rows.pendingPuts(all);
        const asked = new Set([...puts.others, ...puts.fresh].flatMap((row) => mappingsOf([rows.batch(VNI, Uint32Array.of(row))])));
        // What was another for a moment may be written again: all that a tracker writes is.
        const mine = sorted(asked);
        expect(mine).toEqual(expect.arrayContaining(sorted(tracker.pendingPuts().map(([, made]) => made))));
        for (const made of asked) expect(made).toEqual(wanted.get(made.prefix));
        expect(
          mappingsOf([rows.batch(VNI, rows.pendingDeletes(all))])
            .map(({ prefix }) => prefix)
            .sort(),
        ).toEqual(
          tracker
            .pendingDeletes()
            .map(([prefix]) => prefix)
            .sort(),
        );
        expect(rows.held).toBe(tracker.actualSize);
        expect(rows.pending).toBe(mine.length + tracker.pendingDeletes().length);
      }
    }),
    { numRuns: 500 },
  );
});

test("of several targets of an address the one with the lowest wire id is taken, in whatever order they come", () => {
  const address = "10.0.0.1/32";
  for (const order of [
    [3, 4, 5],
    [5, 4, 3],
    [4, 3, 5],
  ]) {
    const targets = order.map((id) => mapping(address, id, id));
    const taken = (rows: MappingRows): Mapping[] => mappingsOf([rows.batch(VNI, rows.pendingPuts(all).fresh)]);
    const whole = rowsOf();
    whole.beginWhole(3);
    for (const piece of piecesOf(targets)) whole.want(piece);
    whole.endWhole();
    expect(taken(whole)).toEqual([mapping(address, 3, 3)]);
    const changed = rowsOf();
    changed.change([address], targets);
    expect(taken(changed)).toEqual([mapping(address, 3, 3)]);
    // The lowest is gone: the next one is taken, though it is higher than what was.
    changed.change([address], targets.slice(1));
    expect(taken(changed)).toEqual([targets.slice(1).reduce((least, other) => (other.wireId < least.wireId ? other : least))]);
  }
});

test("a prefix that is no whole address is refused, and named", () => {
  const rows = rowsOf();
  expect(() => rows.want(piecesOf([mapping("10.0.0.0/24")])[0]!)).toThrow("only whole addresses can be mapped, not 10.0.0.0/24");
  expect(() => rows.change(["fd00::/64"], [])).toThrow(RangeError);
});

test("ten thousand come and go, and their places are taken again", () => {
  const rows = rowsOf(0x9e3779b9);
  const many = Array.from({ length: 10_000 }, (_, i) => mapping(`10.1.${i >> 8}.${i & 255}/32`, 1, i + 1));
  const others = many.map((made) => ({ ...made, prefix: made.prefix.replace("10.1.", "10.2.") }));
  for (const some of [many, others, many]) {
    rows.beginWhole(some.length);
    for (const piece of piecesOf(some)) rows.want(piece);
    rows.endWhole();
    const { fresh } = rows.pendingPuts(all);
    expect(sorted(mappingsOf([rows.batch(VNI, fresh)]))).toEqual(sorted(some));
    rows.made(fresh);
    rows.gone(rows.pendingDeletes(all));
    expect([rows.held, rows.pending, Math.max(...fresh) < 20_000]).toEqual([some.length, 0, true]);
  }
});

test("finds what it has when it grows, also where places were free", () => {
  const rows = rowsOf();
  const many = Array.from({ length: 100 }, (_, i) => mapping(`10.1.0.${i}/32`, i, i + 1));
  rows.change(...news(many.slice(0, 16)));
  rows.change(
    many.slice(4, 12).map(({ prefix }) => prefix),
    [],
  );
  const [found] = batchesOf(many.slice(12));
  rows.adopt(found!);
  rows.change(...news(many));
  const { others, fresh } = rows.pendingPuts(all);
  expect([others.length, fresh.length, rows.held]).toEqual([0, 12, 88]);
  expect(sorted(mappingsOf([rows.batch(VNI, fresh)]))).toEqual(sorted(many.slice(0, 12)));
  rows.made(fresh);
  rows.unwantAll();
  expect(sorted(mappingsOf([rows.batch(VNI, rows.pendingDeletes(all))]))).toEqual(sorted(many));
});
