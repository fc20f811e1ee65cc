import { Status } from "nice-grpc-common";
import type { Caller } from "./caller.ts";
import { PlenumError, resourceExhausted } from "./errors.ts";
import { hostOf } from "./peer.ts";
import { TokenBuckets } from "./token-bucket.ts";
import type { Rate } from "./token-bucket.ts";

/** Which bound a call met: its principal's, its account's, that of unknown callers, or that of calls that wait. */
export type Bound = "principal" | "account" | "unknown" | "waiting";

/** Lets a caller's call through, or throws RESOURCE_EXHAUSTED. Of this process alone: copies do not count together. */
export interface Throttle {
  /** `peer`: where an unknown caller calls from. A stream is one call; `items` (default 1): what a batch holds. Throws RATE_LIMITED. */
  admit(caller: Caller, peer: string, items?: number): void;
  /** A call that waits takes a place among those of its account; answers how to give it back. Throws TOO_MANY_WAITING. */
  wait(caller: Caller): () => void;
  /** Places taken, of all accounts. */
  waiting(): number;
}

export interface ThrottleOptions {
  /** Calls of each principal of an account, each operator, each host. */
  readonly known: Rate;
  /** Calls of all unknown callers at one address together, those with bad tokens included. */
  readonly unknown: Rate;
  /** Items of all principals of one account together: names are free, and must not make more of anything. */
  readonly account: Rate;
  /** Calls of one account that wait at the same time. */
  readonly waitingCalls: number;
  /** Told of each call that is refused. */
  readonly refused?: ((kind: Caller["kind"], bound: Bound) => void) | undefined;
  /** Milliseconds, monotonic; default the platform's. */
  readonly now?: () => number;
}

/** Enough for batch work by many copies of one program; what is above it is a loop that went wrong. */
export const DEFAULT_RATES = {
  known: { perSecond: 500, burst: 1_000 },
  unknown: { perSecond: 50, burst: 100 },
  account: { perSecond: 2_000, burst: 20_000 },
  waitingCalls: 1_000,
} as const;

export function createThrottle(options: ThrottleOptions): Throttle {
  const now = options.now ?? (() => performance.now());
  const buckets = {
    principal: new TokenBuckets(options.known),
    account: new TokenBuckets(options.account),
    unknown: new TokenBuckets(options.unknown),
  };
  const rates = { principal: options.known, account: options.account, unknown: options.unknown };
  const waiting = new Map<string, number>();
  let places = 0;

  const take = (bound: keyof typeof buckets, key: string, kind: Caller["kind"], amount: number): void => {
    const waitMs = buckets[bound].take(key, now(), amount);
    if (waitMs === 0) return;
    options.refused?.(kind, bound);
    const { perSecond } = rates[bound];
    const what = bound === "account" ? "items a second by all principals of the account" : "calls a second";
    throw new PlenumError({
      code: Status.RESOURCE_EXHAUSTED,
      reason: "RATE_LIMITED",
      message: `more than ${perSecond} ${what}; nothing was done, repeat after ${waitMs} ms`,
      facts: { limit: String(perSecond), bound, retry_after_ms: String(waitMs) },
      retryAfterMs: waitMs,
    });
  };
  const release = (accountId: string): void => {
    places -= 1;
    const left = (waiting.get(accountId) ?? 1) - 1;
    if (left === 0) waiting.delete(accountId);
    else waiting.set(accountId, left);
  };
  return {
    admit({ kind, accountId, principalId }, peer, items = 1) {
      if (kind === "anonymous") return take("unknown", hostOf(peer), kind, 1);
      // The principal's own first: one that is refused takes nothing from the others of its account.
      take("principal", JSON.stringify([kind, accountId, principalId]), kind, 1);
      if (kind === "account") take("account", accountId, kind, items);
    },
    wait({ kind, accountId }) {
      if (kind !== "account") return () => undefined;
      const taken = waiting.get(accountId) ?? 0;
      const { waitingCalls } = options;
      if (taken >= waitingCalls) {
        options.refused?.(kind, "waiting");
        const message = `${waitingCalls} calls of the account wait already; nothing was done, repeat when one has ended, or do not wait`;
        throw resourceExhausted("TOO_MANY_WAITING", message, { limit: String(waitingCalls) });
      }
      waiting.set(accountId, taken + 1);
      places += 1;
      let held = true;
      return () => {
        if (held) release(accountId);
        held = false;
      };
    },
    waiting: () => places,
  };
}
