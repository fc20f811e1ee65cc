import type { DropReading as WireDrop, MeterReading as WireMeter } from "#gen/plenum/host/v1/host_feed.ts";
import type { DropReading, Endpoint, MeterReading } from "./ports.ts";

export interface CounterReport {
  meters: WireMeter[];
  drops: WireDrop[];
  /** Names the report where it is acknowledged. */
  sequence: bigint;
}

/** One reading a meter, both directions, in the order of the first reading of each. */
export function metersOf(readings: readonly MeterReading[]): Map<bigint, WireMeter> {
  const meters = new Map<bigint, WireMeter>();
  for (const { meterId, direction, packets, bytes } of readings) {
    const meter = meters.get(meterId) ?? { meterId, egressPackets: 0n, egressBytes: 0n, ingressPackets: 0n, ingressBytes: 0n };
    meters.set(meterId, meter);
    if (direction === "egress") {
      meter.egressPackets = packets;
      meter.egressBytes = bytes;
    } else {
      meter.ingressPackets = packets;
      meter.ingressBytes = bytes;
    }
  }
  return meters;
}

/** Reports that may be unanswered: half a minute of them. What is not told then is told with the next: values are cumulative. */
export const REPORTS_AHEAD = 30;

/** Packets of one counter, as far as each came. No byte is counted without its packet, so packets say for all of it what is new. */
interface Known {
  read: bigint;
  /** To the present session. */
  told: bigint;
  /** By any session: safe. */
  acknowledged: bigint;
}

/**
 * What of the counters was read, told and acknowledged. Told is what changed since it was told last in this session; a session that ends
 * takes with it what it did not acknowledge, and the next is told that again. Values are cumulative: a repeat changes nothing (C22).
 */
export class CounterNews {
  readonly #meters = new Map<bigint, Known>();
  /** By wire id, then by epoch and reason. */
  readonly #drops = new Map<number, Map<string, Known>>();
  /** Reports of this session that were not acknowledged, oldest first; by what each told of which counter. */
  #waiting: { sequence: bigint; told: [Known, bigint][] }[] = [];
  #sequence = 0n;
  #acknowledges = false;
  /** All were read once. */
  #readAll = false;

  /** A session begins: it has been told nothing but what is safe. `acknowledges`: whether it will say so of what it is told. */
  begin(acknowledges: boolean): void {
    this.#acknowledges = acknowledges;
    this.#waiting = [];
    for (const known of this.#meters.values()) known.told = known.acknowledged;
    for (const wire of this.#drops.values()) for (const known of wire.values()) known.told = known.acknowledged;
  }

  /**
   * What is new in a reading of all counters; undefined: nothing, or too much of what was told is not answered yet. Those that are not in it
   * are forgotten.
   */
  takeAll(readings: readonly MeterReading[], drops: readonly DropReading[]): CounterReport | undefined {
    if (this.#waiting.length >= REPORTS_AHEAD) return undefined;
    this.#readAll = true;
    const meters = new Set(readings.map(({ meterId }) => meterId));
    for (const meterId of this.#meters.keys()) if (!meters.has(meterId)) this.#meters.delete(meterId);
    const seen = new Set(drops.map((drop) => `${drop.wireId} ${dropKey(drop)}`));
    for (const [wireId, wire] of this.#drops) {
      for (const key of wire.keys()) if (!seen.has(`${wireId} ${key}`)) wire.delete(key);
      if (wire.size === 0) this.#drops.delete(wireId);
    }
    return this.take(readings, drops);
  }

  /** What is new in a reading of some counters; undefined: nothing. It counts as told. */
  take(readings: readonly MeterReading[], drops: readonly DropReading[]): CounterReport | undefined {
    const report: CounterReport = { meters: [], drops: [], sequence: this.#sequence + 1n };
    const told: [Known, bigint][] = [];
    const isNew = (known: Known, packets: bigint): boolean => {
      known.read = packets;
      if (packets === known.told) return false;
      known.told = packets;
      told.push([known, packets]);
      return true;
    };
    for (const [meterId, meter] of metersOf(readings))
      if (isNew(knownOf(this.#meters, meterId), meter.egressPackets + meter.ingressPackets)) report.meters.push(meter);
    for (const drop of drops) {
      const wire = this.#drops.get(drop.wireId) ?? new Map<string, Known>();
      this.#drops.set(drop.wireId, wire);
      const { wireId, reasonName: reason, packets, epoch } = drop;
      if (isNew(knownOf(wire, dropKey(drop)), packets)) report.drops.push({ wireId, reason, packets, epoch });
    }
    if (told.length === 0) return undefined;
    this.#sequence = report.sequence;
    if (this.#acknowledges) this.#waiting.push({ sequence: report.sequence, told });
    return report;
  }

  /** All reports of this session up to this one are safe. */
  acknowledge(sequence: bigint): void {
    while (this.#waiting[0] !== undefined && this.#waiting[0].sequence <= sequence)
      for (const [known, packets] of this.#waiting.shift()!.told) known.acknowledged = packets;
  }

  /**
   * Whether all that was read of a meter, and of its attachment's drops, is acknowledged. Before anything was read: no. Of a meter that is in
   * no reading, as one that found no room in the kernel, there is nothing to tell.
   */
  isSafe({ meterId, wireId }: Pick<Endpoint, "meterId" | "wireId">): boolean {
    const meter = this.#meters.get(meterId);
    if (!this.#readAll || (meter !== undefined && meter.acknowledged !== meter.read)) return false;
    return [...(this.#drops.get(wireId)?.values() ?? [])].every(({ acknowledged, read }) => acknowledged === read);
  }
}

function knownOf<K>(counters: Map<K, Known>, key: K): Known {
  const known = counters.get(key) ?? { read: 0n, told: 0n, acknowledged: 0n };
  counters.set(key, known);
  return known;
}

const dropKey = ({ epoch, reasonName }: DropReading): string => `${epoch} ${reasonName}`;
