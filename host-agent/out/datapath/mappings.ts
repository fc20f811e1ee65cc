import type { Mapping } from "../../core/ports.ts";
import type { BpfMap } from "./bpf-map.ts";
import { decodeMapping, encodeMapping, encodeMappingKey } from "./codec.ts";
import { Senders } from "./senders.ts";

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
    const encoded = new Map(mappings.map(encodeMapping).map((m) => [m.key.toString("latin1"), m]));
    const replaced: Buffer[] = [];
    for (const { key, value } of encoded.values()) {
      const before = this.#map.get(key);
      if (before !== undefined) replaced.push(before);
      this.#senders.add(value);
    }
    const list = [...encoded.values()];
    this.#map.putMany(Buffer.concat(list.map((m) => m.key)), Buffer.concat(list.map((m) => m.value)), list.length);
    for (const before of replaced) this.#senders.remove(before);
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
