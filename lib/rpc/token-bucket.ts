/** Tokens (calls, connections, bytes) a second in the long run, and at once after a pause: `perSecond` above 0, `burst` 1 or more. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Tokens are counted in thousandths, of which a rate gives as many a millisecond as tokens a second. */
const TOKEN = 1_000;

interface Bucket {
  thousandths: number;
  /** Milliseconds of the clock that the caller gives; monotonic. */
  at: number;
}

/** Forgotten when full again: the longest pause after which a bucket differs from a new one. */
const refillMs = (rate: Rate): number => (rate.burst / rate.perSecond) * 1_000;

/**
 * One token bucket a key. Pure but for its own memory: time comes from the caller and never runs back. Memory is bounded: a bucket that has
 * filled up again is the same as none, and `most` others are kept; beyond that the one that was used longest ago is forgotten.
 */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #most: number;
  /** In order of use, the oldest first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, most = 10_000) {
    if (!(rate.perSecond > 0) || !(rate.burst >= 1)) throw new RangeError("a rate lets something through: perSecond > 0, burst >= 1");
    this.#rate = rate;
    this.#most = most;
  }

  /**
   * Take `amount` tokens (default 1; fewer than 1 count as 1, more than a full bucket as a full one, so that everything is let through at some
   * time). 0: taken; else the milliseconds after which there are as many, and nothing was taken.
   */
  take(key: string, now: number, amount = 1): number {
    const have = this.#have(key, now);
    const wanted = this.#wanted(amount);
    const taken = have >= wanted;
    const at = Math.max(now, this.#buckets.get(key)?.at ?? now);
    this.#buckets.delete(key);
    this.#buckets.set(key, { thousandths: taken ? have - wanted : have, at });
    this.#forget(now);
    return taken ? 0 : this.#waitFor(wanted - have);
  }

  /** What `take` would answer. Takes nothing. */
  wait(key: string, now: number, amount = 1): number {
    return this.#waitFor(Math.max(0, this.#wanted(amount) - this.#have(key, now)));
  }

  #have(key: string, now: number): number {
    const { perSecond, burst } = this.#rate;
    const before = this.#buckets.get(key);
    return before === undefined ? burst * TOKEN : Math.min(burst * TOKEN, before.thousandths + Math.max(0, now - before.at) * perSecond);
  }

  #wanted(amount: number): number {
    return Math.min(Math.max(1, amount), this.#rate.burst) * TOKEN;
  }

  #waitFor(thousandths: number): number {
    return Math.ceil(thousandths / this.#rate.perSecond);
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  #forget(now: number): void {
    const full = now - refillMs(this.#rate);
    for (const [key, bucket] of this.#buckets) {
      if (bucket.at > full && this.#buckets.size <= this.#most) return;
      this.#buckets.delete(key);
    }
  }
}
