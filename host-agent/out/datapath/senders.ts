import { ROW, type MappingBatch } from "../../core/ports.ts";
import type { BpfMap } from "./bpf-map.ts";
import { STRUCTS } from "./layout.gen.ts";

const { key: KEY, host: HOST } = STRUCTS.mapping.fields;
const { vni: VNI } = STRUCTS.mapping_key.fields;
const HOST_WORDS = HOST.size / 4;

/**
 * The hosts that may send into each network (D3): those that hold at least one of its addresses. The kernel map is a set; how many
 * addresses stand behind an element is counted here and recounted from the mappings when the agent starts.
 */
export class Senders {
  readonly #map: BpfMap;
  readonly #counts = new Map<string, number>();

  /** Counts `mappings`, all that there are, and makes the kernel's set agree: a crash may have come between the two maps. */
  constructor(map: BpfMap, mappings: readonly MappingBatch[]) {
    this.#map = map;
    for (const batch of mappings) for (const { name, count } of hostsOf(batch)) this.#change(name, count);
    const present = new Set([...map.entries()].map(([key]) => key.toString("latin1")));
    for (const name of this.#counts.keys()) if (!present.has(name)) this.#allow(name);
    for (const name of present) if (!this.#counts.has(name)) map.delete(Buffer.from(name, "latin1"));
  }

  /** Before the mapping is written: from the first packet on the host may send. One that throws has counted nothing. */
  add(mapping: Buffer): void {
    const name = nameOf(mapping);
    if (!this.#counts.has(name)) this.#allow(name);
    this.#change(name, 1);
  }

  /** The same for many, of which few differ in their host: all are counted, or none. */
  addAll(batch: MappingBatch): void {
    const named = hostsOf(batch);
    const fresh = named.filter(({ name }) => !this.#counts.has(name));
    try {
      for (const { name } of fresh) this.#allow(name);
    } catch (error) {
      for (const { name } of fresh) this.#disallow(name);
      throw error;
    }
    for (const { name, count } of named) this.#change(name, count);
  }

  /** After the mapping was replaced or deleted. */
  remove(mapping: Buffer): void {
    const name = nameOf(mapping);
    if (this.#counts.get(name) === 1) this.#disallow(name);
    this.#change(name, -1);
  }

  removeAll(batch: MappingBatch): void {
    for (const { name, count } of hostsOf(batch)) {
      if (this.#counts.get(name) === count) this.#disallow(name);
      this.#change(name, -count);
    }
  }

  #change(name: string, by: number): void {
    const count = (this.#counts.get(name) ?? 0) + by;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }

  /** The value repeats the key (bpf/maps.h). */
  #allow(name: string): void {
    const key = Buffer.from(name, "latin1");
    this.#map.put(key, key);
  }

  #disallow(name: string): void {
    this.#map.delete(Buffer.from(name, "latin1"));
  }
}

/** VNI and host of a mapping's value: the bytes of struct sender_key, as a string so that they can be counted by it. */
function nameOf(mapping: Buffer): string {
  const vni = KEY.offset + VNI.offset;
  return mapping.toString("latin1", vni, vni + VNI.size) + mapping.toString("latin1", HOST.offset, HOST.offset + HOST.size);
}

/** The same of each host that a batch names, and how many of its mappings do. */
function hostsOf({ vni, count, rows, hosts }: MappingBatch): { name: string; count: number }[] {
  const counts = new Uint32Array(hosts.length / HOST_WORDS);
  for (let i = 0; i < count; i++) counts[rows[i * ROW.words + ROW.host]!]!++;
  const named: { name: string; count: number }[] = [];
  counts.forEach((count, host) => {
    if (count === 0) return;
    const words = Uint32Array.of(vni, ...hosts.subarray(host * HOST_WORDS, (host + 1) * HOST_WORDS));
    named.push({ name: Buffer.from(words.buffer).toString("latin1"), count });
  });
  return named;
}
