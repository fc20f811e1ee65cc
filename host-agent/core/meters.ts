import type { Attempts } from "./attempts.ts";
import type { Datapath, Endpoint } from "./ports.ts";
import { DeltaTracker } from "./tracker.ts";

export type MeterKey = Pick<Endpoint, "wireId" | "meterId">;

export interface MeterTimes {
  /** From closing an endpoint to its meter's last reading: packets that were under way are counted by then (D18). */
  graceMs: number;
  /** From the last reading's report to the meter's end, where the coordinator does not say when a reading is safe. */
  lingerMs: number;
}

/** Whom last readings are told. */
export interface LastReadings {
  /** Tells the present readings of these meters, and their attachments' drops; false: nobody listens now. */
  reportFinal(meters: readonly MeterKey[]): boolean;
  /** Whether these readings are safe (C22); undefined: who listens now never says so. */
  isSafe(meter: MeterKey): boolean | undefined;
}

/**
 * Meters outlive their endpoints: closed → grace → last reading reported → (interface reported as gone) → that reading acknowledged →
 * dropped. A session that broke before the acknowledgement is told the reading again. A meter found after a restart without an endpoint
 * enters at the start.
 */
export class Meters {
  readonly tracker = new DeltaTracker<bigint, MeterKey, MeterKey>((wanted, actual) => wanted.wireId === actual.wireId);
  readonly #datapath: Datapath;
  readonly #attempts: Attempts;
  readonly #times: MeterTimes;
  readonly #readings: LastReadings;
  readonly #wantedOf: (wireId: number) => bigint | undefined;
  /** Meter id → when it was first seen without an endpoint. */
  readonly #closing = new Map<bigint, number>();
  /** Meter id → when its last reading was reported. In the order of these times. */
  readonly #lingering = new Map<bigint, number>();
  /** Both, by wire id. */
  readonly #retiring = new Map<number, Set<bigint>>();

  /** `wantedOf`: the meter that an attachment is to count on. */
  constructor(
    datapath: Datapath,
    attempts: Attempts,
    times: MeterTimes,
    readings: LastReadings,
    wantedOf: (wireId: number) => bigint | undefined,
  ) {
    this.#datapath = datapath;
    this.#attempts = attempts;
    this.#times = times;
    this.#readings = readings;
    this.#wantedOf = wantedOf;
  }

  /**
   * An attachment that comes back does so with a new meter: the old one, and the drop counters and connections that both share, make room
   * at once, unless its last reading is not safe yet.
   */
  put(): void {
    const pending = this.tracker.pendingPuts();
    const wires = new Set(pending.map(([, { wireId }]) => wireId));
    for (const meterId of this.#lingering.keys()) {
      const meter = this.tracker.possible(meterId);
      if (meter === undefined || this.tracker.wanted(meterId) !== undefined || !wires.has(meter.wireId)) continue;
      if (this.#readings.isSafe(meter) !== false) this.#drop(meterId);
    }
    for (const [meterId, meter] of pending) {
      this.#attempts.run(key(meterId), () => {
        this.tracker.doubt(meterId, meter);
        this.#datapath.putMeter(meter);
        this.tracker.present(meterId, meter);
      });
    }
  }

  /** Moves meters that are not wanted along. `counting`: whether an endpoint still counts on it. Returns when to look again. */
  retire(now: number, counting: (meter: MeterKey) => boolean): number | undefined {
    for (const [meterId, meter] of this.tracker.pendingDeletes()) {
      if (this.#closing.has(meterId) || this.#lingering.has(meterId) || counting(meter)) continue;
      this.#closing.set(meterId, now);
      this.#retiring.set(meter.wireId, (this.#retiring.get(meter.wireId) ?? new Set()).add(meterId));
    }
    this.#forgetWanted();
    const quiet = [...this.#closing].filter(([, since]) => since + this.#times.graceMs <= now).map(([meterId]) => meterId);
    // uncovered: what closes is tracked; only the type cannot say so
    if (quiet.length > 0 && this.#readings.reportFinal(quiet.flatMap((meterId) => this.tracker.possible(meterId) ?? []))) {
      for (const meterId of quiet) {
        this.#closing.delete(meterId);
        this.#lingering.set(meterId, now);
      }
    }
    for (const [meterId, since] of this.#lingering) {
      const meter = this.tracker.possible(meterId);
      if (meter === undefined || (this.#readings.isSafe(meter) ?? since + this.#times.lingerMs <= now)) this.#drop(meterId);
    }
    return this.#nextTime(now);
  }

  /** Whether a meter of this attachment still has a last reading to give. */
  owesReading(wireId: number): boolean {
    for (const meterId of this.#closing.keys()) if (this.tracker.possible(meterId)?.wireId === wireId) return true;
    return false;
  }

  /** Whether a meter waits for its end, of which no event may tell. */
  get lingering(): boolean {
    return this.#lingering.size > 0;
  }

  failure(meterId: bigint): string | undefined {
    return this.#attempts.message(key(meterId));
  }

  touched(meterId: bigint): void {
    this.#attempts.forget(key(meterId));
  }

  #forgetWanted(): void {
    for (const stage of [this.#closing, this.#lingering]) {
      for (const meterId of stage.keys()) {
        const wanted = this.tracker.wanted(meterId);
        if (wanted === undefined) continue;
        stage.delete(meterId);
        this.#rests(wanted);
      }
    }
  }

  #drop(meterId: bigint): void {
    const meter = this.tracker.possible(meterId);
    if (meter === undefined) return void this.#lingering.delete(meterId); // uncovered: what lingers is tracked; only the type cannot say so
    const dropped = this.#attempts.run(key(meterId), () => {
      this.tracker.doubt(meterId, meter);
      this.#datapath.dropMeter(meter.wireId, meterId, this.#hasOthers(meter));
    });
    if (!dropped) return;
    this.tracker.absent(meterId);
    this.#lingering.delete(meterId);
    this.#rests(meter);
  }

  /** Retires no more. */
  #rests({ wireId, meterId }: MeterKey): void {
    const retiring = this.#retiring.get(wireId);
    retiring?.delete(meterId);
    if (retiring?.size === 0) this.#retiring.delete(wireId);
  }

  #hasOthers({ wireId, meterId }: MeterKey): boolean {
    const wanted = this.#wantedOf(wireId);
    if (wanted !== undefined && wanted !== meterId && this.tracker.possible(wanted) !== undefined) return true;
    return (this.#retiring.get(wireId)?.size ?? 0) > 1; // uncovered: what lingers retires; only the type cannot say so
  }

  /** Past times are not returned: they wait for a session or for a failed step, and both bring a pass of their own. */
  #nextTime(now: number): number | undefined {
    const times: number[] = [];
    for (const since of this.#closing.values()) if (since + this.#times.graceMs > now) times.push(since + this.#times.graceMs);
    for (const since of this.#lingering.values()) if (since + this.#times.lingerMs > now) times.push(since + this.#times.lingerMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}

const key = (meterId: bigint): string => `meter ${meterId}`;
