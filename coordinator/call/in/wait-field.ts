import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { Duration } from "#gen/google/protobuf/duration.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { durationMs } from "./fields.ts";

const LIMITS = { minMs: 0, maxMs: 60_000, absentMs: 10_000 };

/** What a call waits for after its commit, and for how long (C6). */
export interface Waiting {
  /** Never UNSPECIFIED. */
  readonly wait: WaitFor;
  readonly timeoutMs: number;
}

/** The fields `wait` and `wait_timeout`; `unspecified`: what it means to leave the first one out. INVALID_ARGUMENT. */
export function waitField(
  request: { readonly wait: WaitFor; readonly waitTimeout?: Duration | undefined },
  unspecified: WaitFor.PROGRAMMED | WaitFor.COMMITTED,
): Waiting {
  const known: readonly number[] = Object.values(WaitFor);
  if (!known.includes(request.wait)) throw invalidArgument("wait", `is ${request.wait}`, "give COMMITTED, PROGRAMMED or REACHABLE");
  const wait = request.wait === WaitFor.UNSPECIFIED ? unspecified : request.wait;
  return { wait, timeoutMs: durationMs(request.waitTimeout, "wait_timeout", LIMITS) };
}
