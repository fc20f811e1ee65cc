import type { Attempts } from "./attempts.ts";
import type { Datapath, Endpoint } from "./ports.ts";
import { DeltaTracker } from "./tracker.ts";

export type MeterKey = Pick<Endpoint, "wireId" | "meterId">;

export interface MeterTimes {
  /** From closing an endpoint to its meter's last reading: packets that were under way are counted by then (D18). */
  graceMs: number;
  /** From the last reading's report to the meter's end: a session that broke in between is given the reading again (C22). */
  lingerMs: number;
}

/**
 * Meters outlive their endpoints: closed → grace → last reading reported → (interface reported as gone) → linger → dropped. A meter
 * found after a restart without an endpoint enters at the start.
 */
export class Meters {
  readonly tracker = new DeltaTracker<bigint, MeterKey, MeterKey>((wanted, actual) => wanted.wireId === actual.wireId);
  readonly #datapath: Datapath;
  readonly #attempts: Attempts;
  readonly #times: MeterTimes;
  readonly #report: (meterIds: readonly bigint[]) => boolean;
  readonly #wantedOf: (wireId: number) => bigint | undefined;
  /** Meter id → when it was first seen without an endpoint. */
  readonly #closing = new Map<bigint, number>();
  /** Meter id → when its last reading was reported. In the order of these times. */
  readonly #lingering = new Map<bigint, number>();

  /**
   * `report`: sends the present readings of these meters; false: nobody listens now. `wantedOf`: the meter that an attachment is to
   * count on.
   */
  constructor(
    datapath: Datapath,
    attempts: Attempts,
    times: MeterTimes,
    report: (meterIds: readonly bigint[]) => boolean,
    wantedOf: (wireId: number) => bigint | undefined,
  ) {
    this.#datapath = datapath;
    this.#attempts = attempts;
    this.#times = times;
    this.#report = report;
    this.#wantedOf = wantedOf;
  }

  /**
   * An attachment that comes back does so with a new meter, after the coordinator has taken the old one's last reading: the old one, and
   * the drop counters that both share, make room at once.
   */
  put(): void {
    const pending = this.tracker.pendingPuts();
    const wires = new Set(pending.map(([, { wireId }]) => wireId));
    for (const meterId of this.#lingering.keys()) {
      const meter = this.tracker.possible(meterId);
      if (meter !== undefined && this.tracker.wanted(meterId) === undefined && wires.has(meter.wireId)) this.#drop(meterId);
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
    }
    this.#forgetWanted();
    const quiet = [...this.#closing].filter(([, since]) => since + this.#times.graceMs <= now).map(([meterId]) => meterId);
    if (quiet.length > 0 && this.#report(quiet)) {
      for (const meterId of quiet) {
        this.#closing.delete(meterId);
        this.#lingering.set(meterId, now);
      }
    }
    for (const [meterId, since] of this.#lingering) {
      if (since + this.#times.lingerMs > now) break;
      this.#drop(meterId);
    }
    return this.#nextTime(now);
  }

  /** Whether a meter of this attachment still has a last reading to give. */
  owesReading(wireId: number): boolean {
    for (const meterId of this.#closing.keys()) if (this.tracker.possible(meterId)?.wireId === wireId) return true;
    return false;
  }

  failure(meterId: bigint): string | undefined {
    return this.#attempts.message(key(meterId));
  }

  touched(meterId: bigint): void {
    this.#attempts.forget(key(meterId));
  }

  #forgetWanted(): void {
    for (const stage of [this.#closing, this.#lingering]) {
      for (const meterId of stage.keys()) if (this.tracker.wanted(meterId) !== undefined) stage.delete(meterId);
    }
  }

  #drop(meterId: bigint): void {
    const meter = this.tracker.possible(meterId);
    const dropped = this.#attempts.run(key(meterId), () => {
      if (meter === undefined) return; // uncovered: what lingers is tracked; only the type cannot say so
      this.tracker.doubt(meterId, meter);
      this.#datapath.dropMeter(meter.wireId, meterId);
      // The drop counters of its attachment went with it; another meter of the attachment needs them.
      const other = this.#wantedOf(meter.wireId);
      if (other !== undefined && this.tracker.actual(other) !== undefined)
        this.#datapath.putMeter({ wireId: meter.wireId, meterId: other });
    });
    if (!dropped) return;
    this.tracker.absent(meterId);
    this.#lingering.delete(meterId);
  }

  /** Past times are not returned: they wait for a session or for a failed step, and both bring a pass of their own. */
  #nextTime(now: number): number | undefined {
    const times: number[] = [];
    for (const since of this.#closing.values()) if (since + this.#times.graceMs > now) times.push(since + this.#times.graceMs);
    const [lingering] = this.#lingering.values();
    if (lingering !== undefined && lingering + this.#times.lingerMs > now) times.push(lingering + this.#times.lingerMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}

const key = (meterId: bigint): string => `meter ${meterId}`;
