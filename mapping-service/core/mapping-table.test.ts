import fc from "fast-check";
import { expect, test } from "vitest";
import type { MappingItem, PackedMappings, Target } from "#gen/plenum/mapping/v1/mapping.ts";
import { PackedRecords, unpackMappings } from "#lib/mapping/packed.ts";
import { DeltaLog } from "./delta-log.ts";
import { HostTable } from "./host-table.ts";
import { MappingTable } from "./mapping-table.ts";
import { RecordArena } from "./record-arena.ts";

const hex = (number: number): string => number.toString(16).padStart(32, "0");
const target = (number: number, host = 1, groupSetId = 7): Target => ({
  interfaceId: `eni-${hex(number)}`,
  attachmentId: `eni-attach-${hex(number)}`,
  wireId: number,
  hostId: `host-${hex(host)}`,
  hostAddress: `198.18.0.${host}`,
  groupSetId,
  macAddress: `02:00:00:00:00:${(number & 0xff).toString(16).padStart(2, "0")}`,
  weight: 1,
});

const sorted = (items: Iterable<MappingItem>): MappingItem[] => [...items].sort((one, other) => (one.prefix < other.prefix ? -1 : 1));

const item: fc.Arbitrary<MappingItem> = fc.record({
  // Few prefixes, so that sequences replace and remove; both families, and lengths that differ in nothing else.
  prefix: fc.constantFrom(
    "10.0.0.1/32",
    "10.0.0.2/32",
    "10.0.0.0/24",
    "10.0.0.0/25",
    "0.0.0.0/0",
    "::/0",
    "::/128",
    "fd00::1/128",
    "a00:1::/128",
  ),
  targets: fc
    .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 3 }), fc.nat(3)), {
      maxLength: 3,
      selector: ([number]) => number,
    })
    .map((all) => all.map(([number, host, group]) => target(number, host, group))),
});

/** What a table must hold, by the plainest means. */
function model(items: readonly MappingItem[]): MappingItem[] {
  const map = new Map<string, MappingItem>();
  for (const { prefix, targets } of items) {
    map.set(prefix, { prefix, targets: targets.toSorted((one, other) => (one.attachmentId < other.attachmentId ? -1 : 1)) });
  }
  return sorted([...map.values()].filter(({ targets }) => targets.length > 0));
}

test("after any sequence it holds what a plain map holds, and as many", () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 60 }), fc.integer(), (items, seed) => {
      const table = new MappingTable(seed);
      for (const one of items) table.set(one);
      const expected = model(items);
      expect(sorted(table.items())).toEqual(expected);
      expect(table.prefixes).toBe(expected.length);
      expect(table.targets).toBe(expected.flatMap(({ targets }) => targets).length);
      for (const one of items) expect(table.get(one.prefix)).toEqual(expected.find(({ prefix }) => prefix === one.prefix)?.targets ?? []);
    }),
  );
});

test("squashed (the last of each prefix, in any order) it is the same", () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 40 }), (items) => {
      const squashed = [...new Map(items.map((one) => [one.prefix, one])).values()].reverse();
      const [whole, short] = [new MappingTable(1), new MappingTable(2)];
      for (const one of items) whole.set(one);
      for (const one of squashed) short.set(one);
      expect(sorted(whole.items())).toEqual(sorted(short.items()));
    }),
  );
});

test("targets added one at a time, in any order, are the mapping set at once", () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 20 }), (items) => {
      const wanted = model(items);
      const table = new MappingTable(3);
      for (const { prefix, targets } of wanted.toReversed()) for (const one of targets.toReversed()) table.add(prefix, one);
      expect(sorted(table.items())).toEqual(wanted);
    }),
  );
});

const chunksOf = (table: MappingTable): PackedMappings[] =>
  Array.from({ length: table.chunks }, (_, chunk) => [...table.packChunk(chunk)]).flat();

test("packed in pieces of any size it is whole, and the targets of a prefix are together", () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 40 }), fc.integer({ min: 1, max: 10 }), (items, capacity) => {
      const table = new MappingTable(4, capacity);
      for (const one of items) table.set(one);
      const pieces = chunksOf(table).map((packed) => [...unpackMappings(new PackedRecords(packed))]);
      for (const piece of pieces) {
        expect(piece.length).toBeGreaterThan(0);
        const runs = piece.map(({ prefix }) => prefix).filter((prefix, index, all) => prefix !== all[index - 1]);
        expect(new Set(runs).size).toBe(runs.length);
      }
      const flat = pieces.flat().map(({ prefix, wireId, hostAddress, groupSetId }) => `${prefix} ${wireId} ${hostAddress} ${groupSetId}`);
      const wanted = model(items).flatMap(({ prefix, targets }) =>
        targets.map(({ wireId, hostAddress, groupSetId }) => `${prefix} ${wireId} ${hostAddress} ${groupSetId}`),
      );
      expect(flat.sort()).toEqual(wanted.sort());
    }),
  );
});

test.each<[string, Partial<MappingItem>]>([
  ["prefix", { prefix: "10.0.0.300/32" }],
  ["interface id", { targets: [target(1), { ...target(2), interfaceId: "eni-2" }] }],
  ["attachment id", { targets: [target(1), { ...target(2), attachmentId: `eni-attach-${"g".repeat(32)}` }] }],
  ["MAC", { targets: [{ ...target(2), macAddress: "02:00" }] }],
  ["weight", { targets: [target(1), { ...target(2), weight: 65_536 }] }],
  ["wire id", { targets: [{ ...target(2), wireId: 2 ** 32 }] }],
])("a broken %s is refused and changes nothing", (_field, broken) => {
  const table = new MappingTable(5);
  const before = { prefix: "10.0.0.1/32", targets: [target(3)] };
  table.set(before);
  const { octets } = table;
  // More often than there are free records: what is refused must not leak any.
  for (let round = 0; round < 40; round += 1)
    expect(() => table.set({ prefix: "10.0.0.1/32", targets: [], ...broken })).toThrow(RangeError);
  expect([...table.items()]).toEqual([before]);
  expect(table.octets).toBe(octets);
});

test("ten thousand entries come and go, and the memory is used again", () => {
  const table = new MappingTable(6);
  const prefix = (number: number): string => `10.0.${number >> 8}.${number & 255}/32`;
  const fill = (): void => {
    for (let number = 0; number < 10_000; number += 1) table.set({ prefix: prefix(number), targets: [target(number + 1)] });
  };
  fill();
  const { octets } = table;
  for (let number = 0; number < 10_000; number += 1) table.set({ prefix: prefix(number), targets: [] });
  expect([table.prefixes, table.targets, [...table.items()].length]).toEqual([0, 0, 0]);
  fill();
  expect(table.octets).toBe(octets);
  expect(table.get(prefix(4321))).toEqual([target(4322)]);
  expect(octets / 10_000).toBeLessThan(150);
});

test("an id of another kind is refused, and the table is as before", () => {
  const table = new MappingTable(1);
  table.set({ prefix: "10.0.0.1/32", targets: [target(1)] });
  for (const wrong of [{ interfaceId: `i-${hex(2)}` }, { attachmentId: `eni-${hex(2)}` }, { attachmentId: "eni-attach-2" }])
    expect(() => table.set({ prefix: "10.0.0.1/32", targets: [{ ...target(2), ...wrong }] })).toThrow(RangeError);
  expect(table.get("10.0.0.1/32")).toEqual([target(1)]);
});

test("what is not there is refused, not read: a host, a record, a version out of order", () => {
  expect(() => new HostTable().get(0)).toThrow(/there is no host 0/);
  expect(() => new RecordArena().block(1 << 20)).toThrow(/there is no record/);
  const log = new DeltaLog();
  const at = (version: bigint) => ({ version, mark: version });
  log.push(at(4n), { at: at(5n), frame: Buffer.from("five") }, 100);
  expect(() => log.push(at(5n), { at: at(7n), frame: Buffer.from("seven") }, 100)).toThrow(/version 7 is not the next/);
  expect([log.after(at(4n))?.frame.length, log.after(at(5n))]).toEqual([4, undefined]);
});
