import type { DropReading as WireDrop, MeterReading as WireMeter } from "#gen/plenum/host/v1/host_feed.ts";
import type { DropReading, MeterReading } from "./ports.ts";

export interface CounterReport {
  meters: WireMeter[];
  drops: WireDrop[];
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

/** Remembers what a session was told, so that only what changed is sent. Values are cumulative: a repeat changes nothing (C22). */
export class CounterNews {
  readonly #packets = new Map<bigint, bigint>();
  readonly #drops = new Map<string, bigint>();

  /** What differs from the last time. `force`: meters to report even if they did not change. */
  take(readings: readonly MeterReading[], drops: readonly DropReading[], force: ReadonlySet<bigint> = new Set()): CounterReport {
    const meters = metersOf(readings);
    const report: CounterReport = { meters: [], drops: [] };
    for (const [meterId, meter] of meters) {
      const packets = meter.egressPackets + meter.ingressPackets; // no byte is counted without its packet
      if (packets === (this.#packets.get(meterId) ?? 0n) && !force.has(meterId)) continue;
      this.#packets.set(meterId, packets);
      report.meters.push(meter);
    }
    for (const meterId of this.#packets.keys()) if (!meters.has(meterId)) this.#packets.delete(meterId);
    const seen = new Set<string>();
    for (const { wireId, reasonName, packets } of drops) {
      const key = `${wireId} ${reasonName}`;
      seen.add(key);
      if (packets === (this.#drops.get(key) ?? 0n)) continue;
      this.#drops.set(key, packets);
      report.drops.push({ wireId, reason: reasonName, packets });
    }
    for (const key of this.#drops.keys()) if (!seen.has(key)) this.#drops.delete(key);
    return report;
  }
}
