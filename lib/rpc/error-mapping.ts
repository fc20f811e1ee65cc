import { BadRequest, ErrorInfo, RetryInfo, RichServerError } from "nice-grpc-error-details";
import type { ErrorDetails } from "nice-grpc-error-details";
import { ServerError, Status } from "nice-grpc-common";
import { v7 as uuidv7 } from "uuid";
import { isDatabaseUnavailable, isOlderBuild, isOutOfTime, isTransactionConflict } from "../db/errors.ts";
import type { Logger } from "../log/log.ts";
import { PlenumError, aborted, unavailable } from "./errors.ts";

/** Of every Plenum error (`google.rpc.ErrorInfo.domain`). */
export const ERROR_DOMAIN = "plenum";

/**
 * The status travels in HTTP/2 trailers, and clients bound those: gRPC's C core by 8 KiB for all of them, with what is binary in base64
 * (a third more) and the message once in the details and once beside them. A larger one reaches the caller as RESOURCE_EXHAUSTED of its
 * own client, without any of ours. So the encoded `google.rpc.Status` has 4 KiB at most: a batch of 1,000 faults names the first ones.
 */
export const MAX_STATUS_BYTES = 4_096;
const MAX_MESSAGE_BYTES = 1_000;
const MAX_FACT_BYTES = 1_000;
const MAX_FACTS_BYTES = 2_000;
const MAX_DESCRIPTION_BYTES = 500;
const MAX_FIELD_BYTES = 200;
/** Type names, tags and lengths around the parts. */
const ENVELOPE_BYTES = 200;

/** At most that many bytes of UTF-8, whole characters. */
function clip(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return text;
  let end = Math.max(0, bytes - Buffer.byteLength("…"));
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end -= 1; // inside a character
  return `${encoded.toString("utf8", 0, end)}…`;
}

/** The first violations that fit into `budget` bytes. */
function firstViolations(violations: PlenumError["violations"], budget: number): BadRequest {
  const fieldViolations: { field: string; description: string }[] = [];
  let left = budget;
  for (const { field, description } of violations) {
    const one = { field: clip(field, MAX_FIELD_BYTES), description: clip(description, MAX_DESCRIPTION_BYTES) };
    left -= BadRequest.encode(BadRequest.fromPartial({ fieldViolations: [one] })).finish().length;
    if (left < 0) break;
    fieldViolations.push(one);
  }
  return BadRequest.fromPartial({ fieldViolations });
}

/** What clients that know nothing of ours go by when they repeat a call. */
function retryInfo(afterMs: number): RetryInfo {
  const seconds = Math.floor(afterMs / 1_000);
  return RetryInfo.fromPartial({ retryDelay: { seconds, nanos: Math.round((afterMs - seconds * 1_000) * 1_000_000) } });
}

/** What goes over the wire for one of our errors. */
export function toServerError(error: PlenumError): RichServerError {
  const message = clip(error.message, MAX_MESSAGE_BYTES);
  const facts = Object.entries(error.facts);
  const each = Math.min(MAX_FACT_BYTES, Math.floor(MAX_FACTS_BYTES / Math.max(1, facts.length)));
  const metadata = Object.fromEntries(facts.map(([key, value]) => [key, clip(value, each)]));
  const info = ErrorInfo.fromPartial({ reason: error.reason, domain: ERROR_DOMAIN, metadata });
  const details: ErrorDetails[] = [info];
  if (error.violations.length > 0) {
    const used = Buffer.byteLength(message) + ErrorInfo.encode(info).finish().length + ENVELOPE_BYTES;
    details.push(firstViolations(error.violations, MAX_STATUS_BYTES - used));
  }
  if (error.retryAfterMs !== undefined) details.push(retryInfo(error.retryAfterMs));
  return new RichServerError(error.code, message, details);
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
  if (isOlderBuild(error)) {
    call.log.error({ err: error, method: call.method, errorId }, "this build is older than its database and writes nothing: upgrade it");
    return toServerError(
      unavailable(`this copy is older than its database: repeat the call, another may be newer (error ${errorId})`, { error_id: errorId }),
    );
  }
  if (isDatabaseUnavailable(error)) {
    call.log.warn({ err: error, method: call.method, errorId }, "the database does not answer");
    return toServerError(unavailable(`the database does not answer; repeat the call (error ${errorId})`, { error_id: errorId }));
  }
  if (isOutOfTime(error)) {
    call.log.warn({ err: error, method: call.method, errorId }, "the database was not done in time");
    return toServerError(unavailable(`the database was not done in time; repeat the call (error ${errorId})`, { error_id: errorId }));
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
