import { Status } from "nice-grpc-common";
import type { Caller } from "./caller.ts";
import { PlenumError } from "./errors.ts";
import { hostOf } from "./peer.ts";
import { TokenBuckets } from "./token-bucket.ts";
import type { Rate } from "./token-bucket.ts";

/** Lets a caller's call through, or throws RESOURCE_EXHAUSTED (RATE_LIMITED). */
export interface Throttle {
  /** `peer`: where an unknown caller calls from. A stream is one call, a batch is one call. */
  admit(caller: Caller, peer: string): void;
}

export interface ThrottleOptions {
  /** Of each principal of an account, each operator, each host. */
  readonly known: Rate;
  /** Of all unknown callers at one address together, those with bad tokens included. */
  readonly unknown: Rate;
  /** Told of each call that is refused. */
  readonly refused?: ((kind: Caller["kind"]) => void) | undefined;
  /** Milliseconds, monotonic; default the platform's. */
  readonly now?: () => number;
}

/** Enough for batch work by many copies of one program; what is above it is a loop that went wrong. */
export const DEFAULT_RATES = { known: { perSecond: 500, burst: 1_000 }, unknown: { perSecond: 50, burst: 100 } } as const;

export function createThrottle(options: ThrottleOptions): Throttle {
  const now = options.now ?? (() => performance.now());
  const known = new TokenBuckets(options.known);
  const unknown = new TokenBuckets(options.unknown);
  return {
    admit(caller, peer) {
      const anonymous = caller.kind === "anonymous";
      const rate = anonymous ? options.unknown : options.known;
      const waitMs = anonymous
        ? unknown.take(hostOf(peer), now())
        : known.take(JSON.stringify([caller.kind, caller.accountId, caller.principalId]), now());
      if (waitMs === 0) return;
      options.refused?.(caller.kind);
      throw new PlenumError({
        code: Status.RESOURCE_EXHAUSTED,
        reason: "RATE_LIMITED",
        message: `more than ${rate.perSecond} calls a second; nothing was done, repeat after ${waitMs} ms`,
        facts: { limit: String(rate.perSecond), retry_after_ms: String(waitMs) },
      });
    },
  };
}
