import type { DropReading, Endpoint, MeterReading } from "../../core/ports.ts";
import type { BpfMap, MapName } from "./bpf-map.ts";
import type { Carried } from "./carried.ts";
import { COUNTED_NAMES, type CountedName } from "./counted.ts";
import { newEpoch } from "./epoch.ts";
import { DROP_REASONS, ENUMS, STRUCTS } from "./layout.gen.ts";
import { encode, readBigint, readNumber, u32 } from "./record.ts";

const { DIRECTION_INGRESS, DIRECTION_EGRESS } = ENUMS.direction;
/** Wire id under which the host's own drops are counted. */
export const HOST = 0;

/**
 * Meters (D17, D18) and drop counters (D19): made before traffic, removed after the last reading. Each processor counts for itself.
 */
export class Counters {
  readonly epoch: bigint;
  readonly #meters: BpfMap;
  readonly #drops: BpfMap;
  #carried: Carried | undefined;

  /** Creates the host's own drop counter. */
  constructor(maps: Pick<Record<MapName, BpfMap>, "meters" | "drops" | "epochs">) {
    this.#meters = maps.meters;
    this.#drops = maps.drops;
    this.epoch = epochOf(maps.epochs, maps.meters);
    this.#createDrops(HOST);
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
    this.#createDrops(wireId);
    for (const key of meterKeys(meterId)) this.#meters.putIfAbsent(key, encode("meter", { wire_id: wireId }));
  }

  delete(wireId: number, meterId: bigint, others: boolean): void {
    for (const key of meterKeys(meterId)) {
      this.#meters.delete(key);
      this.#carried?.delete("meters", key);
    }
    if (others || wireId === HOST) return;
    this.#drops.delete(u32(wireId));
    this.#carried?.delete("drops", u32(wireId));
  }

  list(): Pick<Endpoint, "wireId" | "meterId">[] {
    const found = new Map<bigint, number>();
    for (const [key, value] of this.#meters.entries())
      found.set(readBigint("meter_key", key, "meter_id"), readNumber("meter", value, "wire_id"));
    return [...found].map(([meterId, wireId]) => ({ meterId, wireId }));
  }

  readMeters(meterIds?: readonly bigint[]): MeterReading[] {
    const { packets, bytes, raw_bytes: rawBytes } = STRUCTS.meter.fields;
    return elements(this.#meters, meterIds?.flatMap(meterKeys)).map(([key, value]) => ({
      meterId: readBigint("meter_key", key, "meter_id"),
      direction: readNumber("meter_key", key, "direction") === DIRECTION_INGRESS ? "ingress" : "egress",
      packets: this.#total("meters", key, value, packets.offset),
      bytes: this.#total("meters", key, value, bytes.offset),
      rawBytes: this.#total("meters", key, value, rawBytes.offset),
    }));
  }

  /** Only reasons that occurred. */
  readDrops(wireIds?: readonly number[]): DropReading[] {
    return elements(this.#drops, wireIds?.map(u32)).flatMap(([key, value]) =>
      DROP_REASONS.map((reason) => ({
        wireId: key.readUInt32LE(),
        reason: reason.number,
        reasonName: reason.name,
        packets: this.#total("drops", key, value, reason.number * 8),
        epoch: readBigint("drop_counters", value, "epoch"), // the same on every processor
      })).filter((reading) => reading.packets > 0n),
    );
  }

  #createDrops(wireId: number): void {
    this.#drops.putIfAbsent(u32(wireId), encode("drop_counters", { epoch: newEpoch() }));
  }

  /** Sum over processors, and what was carried, of the 64-bit number at `offset`. */
  #total(name: CountedName, key: Buffer, value: Buffer, offset: number): bigint {
    let sum = this.#carried?.get(name, key)?.readBigUInt64LE(offset) ?? 0n;
    const { stride } = name === "meters" ? this.#meters : this.#drops;
    for (let at = offset; at < value.length; at += stride) sum += value.readBigUInt64LE(at);
    return sum;
  }
}

/**
 * Without a meter nothing was counted that could be counted twice: then a new life begins, whatever maps are found. Meters without an
 * epoch were taken over from a schema that had none.
 */
function epochOf(epochs: BpfMap, meters: BpfMap): bigint {
  if (meters.entries().next().done === true) epochs.put(u32(0), encode("counter_epoch", { epoch: newEpoch() }));
  else epochs.putIfAbsent(u32(0), encode("counter_epoch", { epoch: 0n }));
  const value = epochs.get(u32(0));
  if (value === undefined) throw new Error("the counters' epoch was written and is not there");
  return readBigint("counter_epoch", value, "epoch");
}

function elements(map: BpfMap, keys?: readonly Buffer[]): (readonly [key: Buffer, value: Buffer])[] {
  if (keys === undefined) return [...map.entries()];
  return keys.flatMap((key) => {
    const value = map.get(key);
    return value === undefined ? [] : [[key, value] as const];
  });
}

function meterKeys(meterId: bigint): Buffer[] {
  return [DIRECTION_INGRESS, DIRECTION_EGRESS].map((direction) => encode("meter_key", { meter_id: meterId, direction }));
}
