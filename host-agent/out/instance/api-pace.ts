import { TokenBuckets, type Rate } from "#lib/rpc/token-bucket.ts";

const MIB = 1024 * 1024;
/** Both ways together. */
const OF_INSTANCE = { perSecond: 8 * MIB, burst: 8 * MIB };
const OF_HOST = { perSecond: 64 * MIB, burst: 64 * MIB };

/** How many bytes instances may exchange with the API: each by itself, and all of the host together. */
export class ApiPace {
  readonly #ofInstance: TokenBuckets;
  readonly #ofHost: TokenBuckets;

  constructor(ofInstance: Rate = OF_INSTANCE, ofHost: Rate = OF_HOST) {
    this.#ofInstance = new TokenBuckets(ofInstance);
    this.#ofHost = new TokenBuckets(ofHost);
  }

  /**
   * 0: they may go on, and are charged to both; else the milliseconds after which to ask again, and nothing is charged: an instance that
   * waits for the others of its host pays once. `now`: milliseconds, monotonic.
   */
  take(instanceId: string, now: number, bytes: number): number {
    const wait = Math.max(this.#ofInstance.wait(instanceId, now, bytes), this.#ofHost.wait("", now, bytes));
    if (wait > 0) return wait;
    return this.#ofInstance.take(instanceId, now, bytes) + this.#ofHost.take("", now, bytes);
  }
}
