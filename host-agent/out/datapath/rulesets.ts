import { createHash } from "node:crypto";
import { indexRules, type PortEntry } from "../../core/rule-index.ts";
import { lasting } from "../../core/peer-groups.ts";
import type { RuleDirection, Ruleset } from "../../core/ports.ts";
import { blockKey, blockOf } from "./address.ts";
import type { BpfMap, MapName } from "./bpf-map.ts";
import { inRange } from "./codec.ts";
import { ENUMS, STRUCTS } from "./layout.gen.ts";
import { encode, readBytes, readNumber, u32 } from "./record.ts";

const { RULE_PORTS, RULE_PORTS_ANY } = ENUMS.rule_ports_table;
const DIRECTION = { ingress: ENUMS.direction.DIRECTION_INGRESS, egress: ENUMS.direction.DIRECTION_EGRESS } as const;
/** Of rule_peer_key and rule_ports_key: what is always compared whole, before the address and before the protocol. */
const PEER_HEAD_BITS = (STRUCTS.rule_peer_key.fields.peer.offset - STRUCTS.rule_peer_key.fields.ruleset_id.offset) * 8;
const PORTS_HEAD_BITS = (STRUCTS.rule_ports_key.fields.protocol.offset - STRUCTS.rule_ports_key.fields.ruleset_id.offset) * 8;

const DIGEST_OCTETS = readBytes("ruleset", Buffer.alloc(STRUCTS.ruleset.size), "digest").length;

const TABLES = ["rule_peers", "rule_ports", "rule_groups"] as const satisfies readonly MapName[];
/** What a ruleset's id stands for: never changes. */
const FIXED = ["rule_peers", "rule_ports"] as const satisfies readonly MapName[];
type Table = (typeof TABLES)[number];
type Entries = Record<Table, [key: Buffer, value: Buffer][]>;
type Maps = Record<Table | "rulesets", BpfMap>;

/** The rulesets in the kernel: three tables of bit sets, and one element that says a ruleset is whole (docs/adr/0005). */
export class Rulesets {
  readonly #maps: Maps;
  /** Keys of each ruleset's entries, to delete them by. */
  readonly #keys = new Map<number, Record<Table, Buffer[]>>();

  /** Finds what is pinned, and removes what a crash left half written or half deleted. */
  constructor(maps: Maps) {
    this.#maps = maps;
    for (const table of TABLES)
      for (const [key] of maps[table].entries()) this.#keysOf(rulesetIdOf(table, key))[table].push(Buffer.from(key));
    for (const id of this.#keys.keys()) if (!this.has(id)) this.delete(id);
  }

  #keysOf(id: number): Record<Table, Buffer[]> {
    let keys = this.#keys.get(id);
    if (keys === undefined) this.#keys.set(id, (keys = { rule_peers: [], rule_ports: [], rule_groups: [] }));
    return keys;
  }

  has(id: number): boolean {
    return this.#maps.rulesets.get(u32(id)) !== undefined;
  }

  list(): number[] {
    return [...this.#maps.rulesets.entries()].map(([key]) => key.readUInt32LE());
  }

  /**
   * Of one that is there only the entries of group sets may become others: they are written and deleted under the programs' eyes.
   * @throws Error if the id is taken by other rules; RangeError for more than 256 rules a direction or values out of range
   */
  put(ruleset: Ruleset): void {
    const { id, entries, value } = compiled(ruleset);
    const held = this.#held(id, value);
    if (held === "other") throw new Error(`ruleset ${id} exists with other rules; it is immutable`);
    if (held === "same") {
      this.#renew(id, entries.rule_groups);
      return;
    }
    try {
      for (const table of TABLES) this.#add(id, table, entries[table]);
      this.#maps.rulesets.put(u32(id), value);
    } catch (error) {
      this.delete(id); // half of one, tried again and again, must not keep the room that others wait for
      throw error;
    }
  }

  /** Whether they are there under their id, whatever the sets of their groups are, or others. */
  compare(ruleset: Ruleset): "same" | "other" | "absent" {
    const { id, value } = compiled(ruleset);
    return this.#held(id, value);
  }

  #held(id: number, value: Buffer): "same" | "other" | "absent" {
    const before = this.#maps.rulesets.get(u32(id));
    if (before === undefined) return "absent";
    return before.equals(value) ? "same" : "other";
  }

  #add(id: number, table: Table, list: Entries[Table]): void {
    this.#keysOf(id)[table].push(...list.map(([key]) => key)); // known before written: a failure in between can be deleted
    this.#write(table, list);
  }

  #write(table: Table, list: Entries[Table]): void {
    this.#maps[table].putMany(Buffer.concat(list.map(([key]) => key)), Buffer.concat(list.map(([, value]) => value)), list.length);
  }

  /** Compared with what the kernel holds, whoever put it there: a failure half way leaves nothing that would be taken for whole. */
  #renew(id: number, wanted: Entries["rule_groups"]): void {
    const map = this.#maps.rule_groups;
    const keys = this.#keysOf(id);
    const names = new Set(wanted.map(([key]) => nameOf(key)));
    // What goes makes room for what comes.
    for (const key of keys.rule_groups) if (!names.has(nameOf(key))) map.delete(key);
    keys.rule_groups = wanted.map(([key]) => key); // once, however often an attempt finds no room
    this.#write(
      "rule_groups",
      wanted.filter(([key, value]) => map.get(key)?.equals(value) !== true),
    );
  }

  /** Unknown id: no effect. */
  delete(id: number): void {
    this.#maps.rulesets.delete(u32(id));
    const keys = this.#keys.get(id);
    if (keys === undefined) return;
    for (const table of TABLES) for (const key of keys[table]) this.#maps[table].delete(key);
    this.#keys.delete(id);
  }
}

/** @throws RangeError */
function compiled(ruleset: Ruleset): { id: number; entries: Entries; value: Buffer } {
  const id = inRange("ruleset id", ruleset.id, 1, 0xffffffff);
  const entries = entriesOf(ruleset);
  return { id, entries, value: encode("ruleset", { id, digest: digestOf(ruleset, entries) }) };
}

function rulesetIdOf(table: Table, key: Buffer): number {
  if (table === "rule_groups") return readNumber("rule_group_key", key, "ruleset_id");
  return readNumber(table === "rule_peers" ? "rule_peer_key" : "rule_ports_key", key, "ruleset_id");
}

function entriesOf({ id, rules }: Ruleset): Entries {
  const entries: Entries = { rule_peers: [], rule_ports: [], rule_groups: [] };
  for (const name of ["ingress", "egress"] as const) {
    const direction = DIRECTION[name];
    const index = indexRules(rulesOf(rules, name), blockOf);
    for (const entry of index.peers) {
      const { network, length } = blockKey(entry);
      const { family } = entry;
      const key = encode("rule_peer_key", { prefixlen: PEER_HEAD_BITS + length, ruleset_id: id, direction, family, peer: network });
      entries.rule_peers.push([key, encode("rule_peer", { ruleset_id: id, direction, bits: bitsBytes(entry.bits) })]);
    }
    for (const entry of index.ports) entries.rule_ports.push(portEntry(id, RULE_PORTS, direction, entry));
    for (const entry of index.anyPort) entries.rule_ports.push(portEntry(id, RULE_PORTS_ANY, direction, entry));
    for (const { groupSetId, bits } of index.groups) {
      const key = encode("rule_group_key", { ruleset_id: id, direction, group_set_id: groupSetId });
      entries.rule_groups.push([key, encode("rule_group", { key, bits: bitsBytes(bits) })]);
    }
  }
  return entries;
}

function rulesOf(rules: Ruleset["rules"], direction: RuleDirection): Ruleset["rules"] {
  return rules.filter((rule) => rule.direction === direction);
}

function portEntry(id: number, table: number, direction: number, entry: PortEntry): [key: Buffer, value: Buffer] {
  const port = Buffer.alloc(2);
  port.writeUInt16BE(entry.port);
  const { protocol } = entry;
  const key = encode("rule_ports_key", {
    prefixlen: PORTS_HEAD_BITS + entry.length,
    ruleset_id: id,
    table: table | direction,
    protocol,
    port,
  });
  return [key, encode("rule_ports", { ruleset_id: id, table, direction, bits: bitsBytes(entry.bits) })];
}

const nameOf = (key: Buffer): string => key.toString("latin1");

/** Bit n of the set is bit n % 64 of word n / 64. */
function bitsBytes(bits: bigint): Buffer {
  const bytes = Buffer.alloc(STRUCTS.rule_bits.size);
  for (let at = 0; at < bytes.length; at += 8) bytes.writeBigUInt64LE((bits >> BigInt(at * 8)) & 0xffff_ffff_ffff_ffffn, at);
  return bytes;
}

/** Of what the id stands for: the rules with the groups that they name, and how they were taken apart. Not of the groups' sets (ADR 0011). */
function digestOf({ rules }: Ruleset, entries: Entries): Uint8Array {
  const hash = createHash("sha256").update(JSON.stringify(rules.map(lasting)));
  for (const table of FIXED) {
    const lines = entries[table].map(([key, value]) => Buffer.concat([key, value]).toString("latin1"));
    hash.update(`${table} ${lines.length} `).update(lines.toSorted().join(""), "latin1");
  }
  return hash.digest().subarray(0, DIGEST_OCTETS);
}
