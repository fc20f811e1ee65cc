import { Status } from "nice-grpc-common";
import type { ReasonName } from "./reason.ts";

/** One fault in the input: `field` is the path as in the proto ("attachments[3].cidr_block"). */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface PlenumErrorInit {
  readonly code: Status;
  readonly reason: ReasonName;
  /** For people: what is wrong, with the remedy where there is one. */
  readonly message: string;
  /** Every fact that the message names, for programs. Keys are snake_case. */
  readonly facts?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  /** When the same call may succeed, in milliseconds from now. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The only error that a handler throws on purpose: the caller gets all of it. */
export class PlenumError extends Error {
  readonly code: Status;
  readonly reason: ReasonName;
  readonly facts: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
  /** Set when the refusal that it is has been written to the audit: the door must not write it again. */
  audited = false;

  constructor(init: PlenumErrorInit) {
    super(init.message, { cause: init.cause });
    this.name = "PlenumError";
    this.code = init.code;
    this.reason = init.reason;
    this.facts = init.facts ?? {};
    this.violations = init.violations ?? [];
    this.retryAfterMs = init.retryAfterMs;
  }
}

type Facts = Readonly<Record<string, string>>;

/**
 * A field that cannot be accepted. `fact` says what is wrong ("is 10.0.0.0/33"), `remedy` what would do
 * ("give a prefix length of 0 to 32"). INVALID_ARGUMENT.
 */
export function invalidArgument(
  field: string,
  fact: string,
  remedy = "",
  reason: ReasonName = "INVALID_FIELD",
  facts: Facts = {},
): PlenumError {
  const description = remedy === "" ? fact : `${fact}: ${remedy}`;
  return new PlenumError({
    code: Status.INVALID_ARGUMENT,
    reason,
    message: `${field} ${description}`,
    facts: { field, ...facts },
    violations: [{ field, description }],
  });
}

/** Several faults of one request at once (a batch: violations by index, C12). INVALID_ARGUMENT. `violations` must not be empty. */
export function invalidArguments(
  violations: readonly FieldViolation[],
  reason: ReasonName = "INVALID_FIELD",
  facts: Facts = {},
): PlenumError {
  const first = violations[0];
  if (first === undefined) throw new RangeError("invalidArguments needs a violation");
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  return new PlenumError({
    code: Status.INVALID_ARGUMENT,
    reason,
    message: `${first.field} ${first.description}${more}`,
    facts: { field: first.field, ...facts },
    violations,
  });
}

/** No such resource, or none that the caller may see: the two are one on purpose. `kind` is a word for people ("subnet"). NOT_FOUND. */
export function notFound(kind: string, id: string): PlenumError {
  return new PlenumError({
    code: Status.NOT_FOUND,
    reason: "RESOURCE_NOT_FOUND",
    message: `there is no ${kind} ${id}, or it is not yours to see`,
    facts: { kind, id },
  });
}

/** The resource's state does not allow it now; a repeat alone does not help. FAILED_PRECONDITION. */
export function failedPrecondition(reason: ReasonName, message: string, facts: Facts = {}): PlenumError {
  return new PlenumError({ code: Status.FAILED_PRECONDITION, reason, message, facts });
}

/** ALREADY_EXISTS. */
export function alreadyExists(reason: ReasonName, message: string, facts: Facts = {}): PlenumError {
  return new PlenumError({ code: Status.ALREADY_EXISTS, reason, message, facts });
}

/** The caller may see the resource and may not do this. PERMISSION_DENIED. */
export function permissionDenied(action: string, message = `you are not allowed to ${action}`, facts: Facts = {}): PlenumError {
  return new PlenumError({ code: Status.PERMISSION_DENIED, reason: "NOT_ALLOWED", message, facts: { action, ...facts } });
}

/** Nobody knows who calls. UNAUTHENTICATED. */
export function unauthenticated(message: string, reason: ReasonName = "NO_VALID_TOKEN"): PlenumError {
  return new PlenumError({ code: Status.UNAUTHENTICATED, reason, message });
}

/** Somebody else was first; read again and repeat. ABORTED. */
export function aborted(reason: ReasonName, message: string, facts: Facts = {}): PlenumError {
  return new PlenumError({ code: Status.ABORTED, reason, message, facts });
}

/** Something we depend on does not answer; a repeat is safe. UNAVAILABLE. */
export function unavailable(message: string, facts: Facts = {}, cause?: unknown): PlenumError {
  return new PlenumError({ code: Status.UNAVAILABLE, reason: "UNAVAILABLE", message, facts, cause });
}

/** RESOURCE_EXHAUSTED. */
export function resourceExhausted(reason: ReasonName, message: string, facts: Facts = {}): PlenumError {
  return new PlenumError({ code: Status.RESOURCE_EXHAUSTED, reason, message, facts });
}
