import type { Mapping } from "../../core/ports.ts";
import type { BpfMap } from "./bpf-map.ts";
import { decodeMapping, encodeMappingKey, encodeMappings, mappingAt } from "./codec.ts";
import { STRUCTS } from "./layout.gen.ts";
import { Senders } from "./senders.ts";

/** What is to be written, and what stands in its place. */
interface Entry {
  key: Buffer;
  value: Buffer;
  before: Buffer | undefined;
}

/** The map of (network, address) → place, and with it the set of authorised senders. */
export class Mappings {
  readonly #map: BpfMap;
  readonly #senders: Senders;

  constructor(mappings: BpfMap, senders: BpfMap) {
    this.#map = mappings;
    this.#senders = new Senders(senders, values(mappings));
  }

  /** Of several for one address the last counts. A sender is allowed before, and disallowed after, its mapping changes. */
  put(mappings: readonly Mapping[]): void {
    const all = encodeMappings(mappings);
    const lasts = new Map<string, number>();
    for (let i = 0; i < mappings.length; i++) lasts.set(mappingAt(all, i).key.toString("latin1"), i);
    const entries = [...lasts.values()].map((i): Entry => {
      const { key, value } = mappingAt(all, i);
      return { key, value, before: this.#map.get(key) };
    });
    // What takes another's place needs no room, and does not wait for what does.
    this.#write(entries.filter(({ before }) => before !== undefined));
    this.#write(entries.filter(({ before }) => before === undefined));
  }

  #write(entries: readonly Entry[]): void {
    const counted: Entry[] = [];
    try {
      for (const entry of entries) {
        this.#senders.add(entry.value);
        counted.push(entry);
      }
      const join = (part: "key" | "value"): Buffer => Buffer.concat(entries.map((entry) => entry[part]));
      this.#map.putMany(join("key"), join("value"), entries.length);
    } catch (error) {
      this.#recount(counted);
      throw error;
    }
    for (const { before } of entries) if (before !== undefined) this.#senders.remove(before);
  }

  /** The same for addresses of which none is there, each named once: a new network's, without a look at each. */
  create(mappings: readonly Mapping[]): void {
    const all = encodeMappings(mappings);
    const keys = Buffer.alloc(mappings.length * STRUCTS.mapping_key.size);
    const { offset } = STRUCTS.mapping.fields.key;
    const { size } = STRUCTS.mapping_key;
    for (let i = 0; i < mappings.length; i++) {
      const at = i * STRUCTS.mapping.size + offset;
      all.copy(keys, i * size, at, at + size);
    }
    this.#senders.addAll(all, mappings);
    try {
      this.#map.putMany(keys, all, mappings.length);
    } catch (error) {
      this.#recount(mappings.map((_, i) => ({ ...mappingAt(all, i), before: undefined })));
      throw error;
    }
  }

  /** Of a write that ended on its way: each mapping's sender is counted for what the kernel holds of it now. */
  #recount(entries: readonly Entry[]): void {
    for (const { key, value, before } of entries) {
      const arrived = this.#map.get(key)?.equals(value) === true;
      const counted = arrived ? before : value;
      if (counted !== undefined) this.#senders.remove(counted);
    }
  }

  /** Keys that are not there have no effect. */
  delete(keys: readonly { vni: number; prefix: string }[]): void {
    const present = new Map<string, { key: Buffer; value: Buffer }>();
    for (const { vni, prefix } of keys) {
      const key = encodeMappingKey(vni, prefix);
      const value = this.#map.get(key);
      if (value !== undefined) present.set(key.toString("latin1"), { key, value });
    }
    this.#map.deleteMany([...present.values()].map((p) => p.key));
    for (const { value } of present.values()) this.#senders.remove(value);
  }

  list(): Mapping[] {
    return [...values(this.#map)].map(decodeMapping);
  }
}

function* values(map: BpfMap): Generator<Buffer> {
  for (const [, value] of map.entries()) yield value;
}
