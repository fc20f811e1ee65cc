import type { DropReading, Endpoint, MeterReading } from "../../core/ports.ts";
import type { BpfMap } from "./bpf-map.ts";
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
  readonly #connectionsPerInterface: number;

  /** Creates the host's own drop counter. */
  constructor(meters: BpfMap, drops: BpfMap, budgets: BpfMap, connectionsPerInterface: number) {
    this.#meters = meters;
    this.#drops = drops;
    this.#budgets = budgets;
    this.#connectionsPerInterface = connectionsPerInterface;
    drops.putIfAbsent(u32(HOST), encode("drop_counters", {}));
  }

  /** What exists keeps its counts. */
  create(wireId: number, meterId: bigint): void {
    this.#drops.putIfAbsent(u32(wireId), encode("drop_counters", {}));
    const budget = encode("connection_budget", { wire_id: wireId, limit: this.#connectionsPerInterface });
    this.#budgets.putIfAbsent(u32(wireId), budget);
    for (const key of meterKeys(meterId)) this.#meters.putIfAbsent(key, encode("meter", { wire_id: wireId }));
  }

  delete(wireId: number, meterId: bigint): void {
    for (const key of meterKeys(meterId)) this.#meters.delete(key);
    this.#budgets.delete(u32(wireId));
    if (wireId !== HOST) this.#drops.delete(u32(wireId));
  }

  list(): Pick<Endpoint, "wireId" | "meterId">[] {
    const found = new Map<bigint, number>();
    for (const [key, value] of this.#meters.entries())
      found.set(readBigint("meter_key", key, "meter_id"), readNumber("meter", value, "wire_id"));
    return [...found].map(([meterId, wireId]) => ({ meterId, wireId }));
  }

  readMeters(): MeterReading[] {
    return [...this.#meters.entries()].map(([key, value]) => ({
      meterId: readBigint("meter_key", key, "meter_id"),
      direction: readNumber("meter_key", key, "direction") === DIRECTION_INGRESS ? "ingress" : "egress",
      packets: total(this.#meters, value, STRUCTS.meter.fields.packets.offset),
      bytes: total(this.#meters, value, STRUCTS.meter.fields.bytes.offset),
      rawBytes: total(this.#meters, value, STRUCTS.meter.fields.raw_bytes.offset),
    }));
  }

  /** Only reasons that occurred. */
  readDrops(): DropReading[] {
    return [...this.#drops.entries()].flatMap(([key, value]) =>
      DROP_REASONS.map((reason) => ({
        wireId: key.readUInt32LE(),
        reason: reason.number,
        reasonName: reason.name,
        packets: total(this.#drops, value, reason.number * 8),
      })).filter((reading) => reading.packets > 0n),
    );
  }
}

function meterKeys(meterId: bigint): Buffer[] {
  return [DIRECTION_INGRESS, DIRECTION_EGRESS].map((direction) => encode("meter_key", { meter_id: meterId, direction }));
}

/** Sum over processors of the 64-bit number at `offset`. */
function total(map: BpfMap, value: Buffer, offset: number): bigint {
  let sum = 0n;
  for (let at = offset; at < value.length; at += map.stride) sum += value.readBigUInt64LE(at);
  return sum;
}
