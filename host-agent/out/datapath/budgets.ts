import type { BpfMap } from "./bpf-map.ts";
import type { ConnectionLimits } from "./connections.ts";
import { encode, readBigint, u32 } from "./record.ts";

/** Of interfaces that are gone, so many are looked at with each that comes or goes: then all are done with, and none takes long. */
const LOOKS = 4;

/**
 * How many connections each interface may hold, and holds (D6): made before traffic. One that goes leaves connections for up to five
 * minutes; its budget stays until the last of them has gone, so that the count is that of the table also where the interface comes back.
 */
export class Budgets {
  readonly #map: BpfMap;
  readonly #limits: ConnectionLimits;
  /** Interfaces that are gone, the one that was looked at longest ago first. */
  readonly #left: Set<number>;

  /** `there`: wire ids of the interfaces that are. */
  constructor(map: BpfMap, limits: ConnectionLimits, there: ReadonlySet<number>) {
    this.#map = map;
    this.#limits = limits;
    this.#left = new Set([...map.entries()].map(([key]) => key.readUInt32LE()).filter((wireId) => !there.has(wireId)));
    this.#look(this.#left.size);
  }

  /** What exists keeps its count. */
  create(wireId: number): void {
    this.#left.delete(wireId);
    this.#look(LOOKS);
    const { perInterface: limit, share } = this.#limits;
    this.#map.putIfAbsent(u32(wireId), encode("connection_budget", { wire_id: wireId, limit, share }));
  }

  /** The interface is closed, and no packet is under way that could begin a connection of it. */
  leave(wireId: number): void {
    this.#left.add(wireId);
    this.#look(LOOKS);
  }

  #look(most: number): void {
    for (const wireId of [...this.#left].slice(0, most)) {
      this.#left.delete(wireId);
      const value = this.#map.get(u32(wireId));
      if (value === undefined) continue;
      if (readBigint("connection_budget", value, "count") > 0n) this.#left.add(wireId);
      else this.#map.delete(u32(wireId));
    }
  }
}
