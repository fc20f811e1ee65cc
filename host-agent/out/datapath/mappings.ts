import type { MappingBatch } from "../../core/ports.ts";
import type { BpfMap } from "./bpf-map.ts";
import { decodeMappings, encodeMappingKeys, encodeMappings, mappingAt } from "./codec.ts";
import { STRUCTS } from "./layout.gen.ts";
import { Senders } from "./senders.ts";

/** What is to be written, and what stands in its place. */
interface Entry {
  key: Buffer;
  value: Buffer;
  before: Buffer | undefined;
}

/** Elements read with one call where all are. */
const CHUNK = 4_096;

/** The map of (network, address) → place, and with it the set of authorised senders. */
export class Mappings {
  readonly #map: BpfMap;
  readonly #senders: Senders;

  constructor(mappings: BpfMap, senders: BpfMap) {
    this.#map = mappings;
    this.#senders = new Senders(senders, this.list());
  }

  /** A sender is allowed before, and disallowed after, its mapping changes. */
  put(batch: MappingBatch): void {
    const all = encodeMappings(batch);
    const entries = Array.from({ length: batch.count }, (_, i): Entry => {
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

  /** The same for addresses of which none is there: a new network's, without a look at each. */
  create(batch: MappingBatch): void {
    const keys = encodeMappingKeys(batch);
    const all = encodeMappings(batch);
    this.#senders.addAll(batch);
    try {
      this.#map.putMany(keys, all, batch.count);
    } catch (error) {
      this.#recount(Array.from({ length: batch.count }, (_, i) => ({ ...mappingAt(all, i), before: undefined })));
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

  /** Of these only the addresses count. Those that are not there have no effect. */
  delete(batch: MappingBatch): void {
    const all = encodeMappingKeys(batch);
    const present: Buffer[] = [];
    const values: Buffer[] = [];
    for (let at = 0; at < all.length; at += STRUCTS.mapping_key.size) {
      const key = all.subarray(at, at + STRUCTS.mapping_key.size);
      const value = this.#map.get(key);
      if (value === undefined) continue;
      present.push(key);
      values.push(value);
    }
    this.#map.deleteMany(present);
    for (const gone of decodeMappings([{ values: Buffer.concat(values), count: values.length }])) this.#senders.removeAll(gone);
  }

  list(): MappingBatch[] {
    return decodeMappings(this.#map.chunks(CHUNK));
  }
}
