import { BadRequest, ErrorInfo, RichServerError } from "nice-grpc-error-details";
import type { ErrorDetails } from "nice-grpc-error-details";
import { ServerError, Status } from "nice-grpc-common";
import { v7 as uuidv7 } from "uuid";
import { isDatabaseUnavailable, isTransactionConflict } from "../db/errors.ts";
import type { Logger } from "../log/log.ts";
import { PlenumError, aborted, unavailable } from "./errors.ts";

/** Of every Plenum error (`google.rpc.ErrorInfo.domain`). */
export const ERROR_DOMAIN = "plenum";

/** The status travels in HTTP/2 trailers, whose size is bounded by every client: a batch of 1,000 faults names the first ones. */
const MAX_VIOLATIONS = 32;
const MAX_TEXT = 1_000;

const clip = (text: string): string => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`);

/** What goes over the wire for one of our errors. */
export function toServerError(error: PlenumError): RichServerError {
  const metadata = Object.fromEntries(Object.entries(error.facts).map(([key, value]) => [key, clip(value)]));
  const details: ErrorDetails[] = [ErrorInfo.fromPartial({ reason: error.reason, domain: ERROR_DOMAIN, metadata })];
  if (error.violations.length > 0) {
    const fieldViolations = error.violations.slice(0, MAX_VIOLATIONS).map((v) => ({ field: v.field, description: clip(v.description) }));
    details.push(BadRequest.fromPartial({ fieldViolations }));
  }
  return new RichServerError(error.code, clip(error.message), details);
}

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === "AbortError";

/**
 * Turn whatever a handler threw into the one shape callers see. What nobody foresaw is logged whole under an error id and sent
 * opaque: the id alone crosses the wire. `closing` is set while the server shuts down.
 */
export function mapError(error: unknown, call: { method: string; closing: boolean; log: Logger }): ServerError {
  if (error instanceof PlenumError) return toServerError(error);
  if (isAbort(error)) {
    if (call.closing) return toServerError(unavailable("the server is shutting down; repeat the call"));
    return new ServerError(Status.CANCELLED, "the caller cancelled, or its deadline passed");
  }
  if (error instanceof ServerError && error.code !== Status.UNKNOWN && error.code !== Status.INTERNAL) return error;
  if (isTransactionConflict(error)) {
    return toServerError(aborted("CONFLICT", "another change to the same resources came first, again and again; repeat the call"));
  }
  const errorId = uuidv7();
  if (isDatabaseUnavailable(error)) {
    call.log.warn({ err: error, method: call.method, errorId }, "the database does not answer");
    return toServerError(unavailable(`the database does not answer; repeat the call (error ${errorId})`, { error_id: errorId }));
  }
  call.log.error({ err: error, method: call.method, errorId }, "a handler failed: a bug");
  return toServerError(
    new PlenumError({
      code: Status.INTERNAL,
      reason: "INTERNAL",
      message: `a bug of ours; the operator finds error ${errorId} in the server's log`,
      facts: { error_id: errorId },
    }),
  );
}
