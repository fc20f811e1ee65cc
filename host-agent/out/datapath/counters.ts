import type { DropReading, Endpoint, MeterReading } from "../../core/ports.ts";
import type { BpfMap, MapName } from "./bpf-map.ts";
import type { Carried } from "./carried.ts";
import { COUNTED_NAMES, type CountedName } from "./counted.ts";
import { DROP_REASONS, ENUMS, STRUCTS } from "./layout.gen.ts";
import { encode, readBigint, readNumber, u32 } from "./record.ts";

const { DIRECTION_INGRESS, DIRECTION_EGRESS } = ENUMS.direction;
/** Wire id under which the host's own drops are counted. */
export const HOST = 0;

/**
 * Meters (D17, D18), drop counters (D19) and connection budgets (D6): made before traffic, removed after the last reading. Meters and
 * drops are counted by each processor for itself.
 */
export class Counters {
  readonly #meters: BpfMap;
  readonly #drops: BpfMap;
  readonly #budgets: BpfMap;
  #carried: Carried | undefined;
  readonly #connectionsPerInterface: number;

  /** Creates the host's own drop counter. */
  constructor(maps: Pick<Record<MapName, BpfMap>, "meters" | "drops" | "budgets">, connectionsPerInterface: number) {
    this.#meters = maps.meters;
    this.#drops = maps.drops;
    this.#budgets = maps.budgets;
    this.#connectionsPerInterface = connectionsPerInterface;
    this.#drops.putIfAbsent(u32(HOST), encode("drop_counters", {}));
  }

  /** From now on readings include this. It is closed with the counters. */
  carry(carried: Carried): void {
    const live = { meters: this.#meters, drops: this.#drops };
    for (const name of COUNTED_NAMES) carried.forgetOrphans(name, (key) => live[name].get(key) !== undefined);
    this.#carried = carried;
  }

  close(): void {
    this.#carried?.close();
  }

  /** What exists keeps its counts. */
  create(wireId: number, meterId: bigint): void {
    this.#drops.putIfAbsent(u32(wireId), encode("drop_counters", {}));
    const budget = encode("connection_budget", { wire_id: wireId, limit: this.#connectionsPerInterface });
    this.#budgets.putIfAbsent(u32(wireId), budget);
    for (const key of meterKeys(meterId)) this.#meters.putIfAbsent(key, encode("meter", { wire_id: wireId }));
  }

  delete(wireId: number, meterId: bigint): void {
    for (const key of meterKeys(meterId)) {
      this.#meters.delete(key);
      this.#carried?.delete("meters", key);
    }
    this.#budgets.delete(u32(wireId));
    if (wireId === HOST) return;
    this.#drops.delete(u32(wireId));
    this.#carried?.delete("drops", u32(wireId));
  }

  list(): Pick<Endpoint, "wireId" | "meterId">[] {
    const found = new Map<bigint, number>();
    for (const [key, value] of this.#meters.entries())
      found.set(readBigint("meter_key", key, "meter_id"), readNumber("meter", value, "wire_id"));
    return [...found].map(([meterId, wireId]) => ({ meterId, wireId }));
  }

  readMeters(): MeterReading[] {
    const { packets, bytes, raw_bytes: rawBytes } = STRUCTS.meter.fields;
    return [...this.#meters.entries()].map(([key, value]) => ({
      meterId: readBigint("meter_key", key, "meter_id"),
      direction: readNumber("meter_key", key, "direction") === DIRECTION_INGRESS ? "ingress" : "egress",
      packets: this.#total("meters", key, value, packets.offset),
      bytes: this.#total("meters", key, value, bytes.offset),
      rawBytes: this.#total("meters", key, value, rawBytes.offset),
    }));
  }

  /** Only reasons that occurred. */
  readDrops(): DropReading[] {
    return [...this.#drops.entries()].flatMap(([key, value]) =>
      DROP_REASONS.map((reason) => ({
        wireId: key.readUInt32LE(),
        reason: reason.number,
        reasonName: reason.name,
        packets: this.#total("drops", key, value, reason.number * 8),
      })).filter((reading) => reading.packets > 0n),
    );
  }

  /** Sum over processors, and what was carried, of the 64-bit number at `offset`. */
  #total(name: CountedName, key: Buffer, value: Buffer, offset: number): bigint {
    let sum = this.#carried?.get(name, key)?.readBigUInt64LE(offset) ?? 0n;
    const { stride } = name === "meters" ? this.#meters : this.#drops;
    for (let at = offset; at < value.length; at += stride) sum += value.readBigUInt64LE(at);
    return sum;
  }
}

function meterKeys(meterId: bigint): Buffer[] {
  return [DIRECTION_INGRESS, DIRECTION_EGRESS].map((direction) => encode("meter_key", { meter_id: meterId, direction }));
}
