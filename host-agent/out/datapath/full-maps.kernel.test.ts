import { afterEach, expect, test } from "vitest";
import type { Mapping, Rule } from "../../core/ports.ts";
import { batchesOf, mappingsOf } from "../../testing/mapping-batches.ts";
import { BpfMap, type MapName } from "./bpf-map.ts";
import { MAPS } from "./layout.gen.ts";
import { check, mapCreate } from "./libbpf.ts";
import { Mappings } from "./mappings.ts";
import { Rulesets } from "./rulesets.ts";
import { ALLOW_ALL } from "./testing/lab.ts";

/** What is there when a map of the kernel's was full for a while. */

const NO_PREALLOC = 1;
const open: BpfMap[] = [];
afterEach(() => {
  for (const map of open.splice(0)) map.close();
});

class CountingMap extends BpfMap {
  deletes = 0;

  override delete(key: Buffer): void {
    this.deletes += 1;
    super.delete(key);
  }
}

/** As the programs have it, with room for so many elements. */
function mapOf(name: MapName, room: number): CountingMap {
  const { type, keySize, valueSize } = MAPS[name];
  const opts = Buffer.alloc(48); // struct bpf_map_create_opts
  opts.writeBigUInt64LE(48n, 0);
  opts.writeUInt32LE(NO_PREALLOC, 28);
  const map = new CountingMap(name, check(mapCreate(type, "full", keySize, valueSize, room, opts), `make ${name}`), MAPS[name]);
  open.push(map);
  return map;
}

const mapping = (n: number, host: number): Mapping => ({
  ...{ vni: 7, prefix: `10.0.0.${n}/32`, hostAddress: `198.18.0.${host}`, wireId: n, groupSetId: 0 },
});
const remove = (from: Mappings, ...all: Mapping[]): void => batchesOf(all).forEach((batch) => from.delete(batch));
const sizeOf = (map: BpfMap): number => [...map.entries()].length;

test.each([false, true])("senders are those of what was written, after mappings found no room (fresh: %s)", (fresh) => {
  const map = mapOf("mappings", 2);
  const senders = mapOf("senders", 10);
  const mappings = new Mappings(map, senders);
  const put = (...all: Mapping[]): void => batchesOf(all).forEach((batch) => (fresh ? mappings.create(batch) : mappings.put(batch)));
  put(mapping(1, 1), mapping(2, 1));
  for (let attempt = 0; attempt < 3; attempt++) expect(() => put(mapping(3, 2), mapping(4, 3))).toThrow(/full/);
  expect([sizeOf(map), sizeOf(senders)]).toEqual([2, 1]);
  remove(mappings, mapping(1, 1));
  put(mapping(3, 2));
  expect(sizeOf(senders)).toBe(2);
  remove(mappings, mapping(2, 1), mapping(3, 2));
  expect([sizeOf(map), sizeOf(senders)], "nobody may send any more").toEqual([0, 0]);
});

test("what takes another's place is written, beside what finds no room", () => {
  const map = mapOf("mappings", 2);
  const senders = mapOf("senders", 10);
  const mappings = new Mappings(map, senders);
  const put = (...all: Mapping[]): void => batchesOf(all).forEach((batch) => mappings.put(batch));
  put(mapping(1, 1), mapping(2, 2));
  const moved = mapping(2, 3);
  expect(() => put(mapping(3, 1), moved)).toThrow(/full/);
  expect(mappingsOf(mappings.list())).toContainEqual(moved);
  expect([...senders.entries()].map(([key]) => key.at(-1)).toSorted()).toEqual([1, 3]);
});

test.each([false, true])("a sender that found no room is let in as soon as there is some (fresh: %s)", (fresh) => {
  const senders = mapOf("senders", 1);
  const mappings = new Mappings(mapOf("mappings", 10), senders);
  const put = (...all: Mapping[]): void => batchesOf(all).forEach((batch) => (fresh ? mappings.create(batch) : mappings.put(batch)));
  put(mapping(1, 1));
  for (let attempt = 0; attempt < 2; attempt++) expect(() => put(mapping(2, 2), mapping(3, 2))).toThrow(/full/);
  remove(mappings, mapping(1, 1));
  put(mapping(2, 2), mapping(3, 2));
  expect([...senders.entries()].map(([key]) => key.subarray(-4).join("."))).toEqual(["198.18.0.2"]);
});

test("a ruleset that finds no room keeps none, however often it is tried, and is whole when there is some", () => {
  const maps = {
    rulesets: mapOf("rulesets", 10),
    rule_peers: mapOf("rule_peers", 10),
    rule_ports: mapOf("rule_ports", 5),
    rule_groups: mapOf("rule_groups", 10),
  };
  const rulesets = new Rulesets(maps);
  rulesets.put({ id: 1, rules: ALLOW_ALL });
  const before = [sizeOf(maps.rule_peers), sizeOf(maps.rule_ports)];
  expect(before).toEqual([2, 4]);
  for (let attempt = 0; attempt < 5; attempt++) expect(() => rulesets.put({ id: 2, rules: ALLOW_ALL })).toThrow(/full/);
  expect([sizeOf(maps.rule_peers), sizeOf(maps.rule_ports)]).toEqual(before);
  maps.rule_peers.deletes = 0;
  rulesets.delete(2);
  expect(maps.rule_peers.deletes, "no memory of each attempt").toBe(0);
  rulesets.delete(1);
  rulesets.put({ id: 2, rules: ALLOW_ALL });
  expect([rulesets.list(), sizeOf(maps.rule_peers), sizeOf(maps.rule_ports)]).toEqual([[2], ...before]);
});

test("group sets that find no room leave no memory of each attempt, and are there when there is some", () => {
  const maps = {
    rulesets: mapOf("rulesets", 10),
    rule_peers: mapOf("rule_peers", 10),
    rule_ports: mapOf("rule_ports", 10),
    rule_groups: mapOf("rule_groups", 2),
  };
  const rulesets = new Rulesets(maps);
  const named: Omit<Rule, "peerCidr"> = { direction: "ingress", protocol: 0, portFrom: 0, portTo: 0 };
  const put = (...peerGroupSets: number[]): void => rulesets.put({ id: 1, rules: [{ ...named, peerGroupId: "sg-1", peerGroupSets }] });
  put(1, 2);
  for (let attempt = 0; attempt < 5; attempt++) expect(() => put(2, 3, 4)).toThrow(/full/);
  maps.rule_groups.deletes = 0;
  rulesets.delete(1);
  expect([maps.rule_groups.deletes, sizeOf(maps.rule_groups)]).toEqual([3, 0]);
  put(1, 2);
  expect(() => put(1, 2, 3)).toThrow(/full/);
  put(2, 3);
  expect(sizeOf(maps.rule_groups)).toBe(2);
});
