import { newId } from "../ids/ids.ts";
import type { Caller } from "../rpc/caller.ts";
import { hostOf } from "../rpc/peer.ts";
import type { ReasonName } from "../rpc/reason.ts";

/** A call that was turned away before anything of the service's own decided about it. */
export interface Refusal {
  readonly caller: Caller;
  /** As the server sees it, with the port. */
  readonly peer: string;
  /** The RPC's authorisation action; empty for health and reflection. */
  readonly action: string;
  /** The RPC's path. */
  readonly method: string;
  readonly reason: ReasonName;
}

/** All refusals of one minute that are alike: one entry of the audit. Action and method are the first one's. */
export interface RefusalRow {
  /** `audit-…`. */
  readonly entryId: string;
  /** Empty: nobody known. */
  readonly principalId: string;
  readonly accountId: string;
  /** The instance that acted as the principal, and the host that vouches for it; empty: none did. */
  readonly viaInstanceId: string;
  readonly viaHostId: string;
  readonly action: string;
  readonly method: string;
  /** Without the port: a client's every connection has another. */
  readonly peer: string;
  readonly reason: string;
  /** So far. */
  readonly count: number;
}

interface Counted {
  row: RefusalRow;
  /** Not written, or not with this count. */
  dirty: boolean;
}

const MINUTE_MS = 60_000;

/**
 * Counts refusals by (peer, principal, instance, reason) and minute. Whoever floods the door gets few entries with a high count, and never more than
 * `most` a minute; what finds no room is only told. Pure but for its own memory, which is bounded by twice that.
 */
export class RefusalTally {
  readonly #most: number;
  #minute = -1;
  /** Of this minute. */
  #current = new Map<string, Counted>();
  /** Of earlier minutes, not written yet. */
  #late: Counted[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** false: there was no room for it. `now`: milliseconds of the wall clock. */
  note({ caller, peer, action, method, reason }: Refusal, now: number): boolean {
    this.#turnTo(Math.floor(now / MINUTE_MS));
    const { kind, principalId, accountId } = caller;
    const { instanceId: viaInstanceId = "", hostId: viaHostId = "" } = caller.via ?? {};
    const host = hostOf(peer);
    const key = JSON.stringify([host, kind, accountId, principalId, viaInstanceId, viaHostId, reason]);
    const known = this.#current.get(key);
    if (known !== undefined) {
      known.row = { ...known.row, count: known.row.count + 1 };
      known.dirty = true;
      return true;
    }
    if (this.#current.size >= this.#most) return false;
    const who = { principalId, accountId, viaInstanceId, viaHostId };
    const row = { entryId: newId("audit"), ...who, action, method, peer: host, reason, count: 1 };
    this.#current.set(key, { row, dirty: true });
    return true;
  }

  /** What is to be written now; it counts as written until `failed` is told otherwise. */
  take(): RefusalRow[] {
    const due = [...this.#late, ...this.#current.values()].filter((one) => one.dirty);
    for (const one of due) one.dirty = false;
    this.#late = [];
    return due.map((one) => one.row);
  }

  /** These could not be written. Answers how many refusals are lost by it: those for which there is no room among earlier minutes'. */
  failed(rows: readonly RefusalRow[]): number {
    const current = new Map([...this.#current.values()].map((one) => [one.row.entryId, one]));
    let lost = 0;
    for (const row of rows) {
      const one = current.get(row.entryId);
      if (one !== undefined) one.dirty = true;
      else if (this.#late.length < this.#most) this.#late.push({ row, dirty: true });
      else lost += row.count;
    }
    return lost;
  }

  /** This one can never be written. Answers how many refusals are lost by it; those like it that follow begin anew. */
  forget(row: RefusalRow): number {
    for (const [key, one] of this.#current) {
      if (one.row.entryId !== row.entryId) continue;
      this.#current.delete(key);
      return one.row.count;
    }
    return row.count;
  }

  #turnTo(minute: number): void {
    if (minute === this.#minute) return;
    this.#minute = minute;
    const left = [...this.#current.values()].filter((one) => one.dirty);
    this.#late = [...this.#late, ...left].slice(0, this.#most);
    this.#current = new Map();
  }
}
