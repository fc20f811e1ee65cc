import { ClientError, Status } from "nice-grpc-common";
import { BadRequest, ErrorInfo, RichClientError } from "nice-grpc-error-details";
import type { FieldViolation } from "./errors.ts";

/** What a caller learns from a failed call. */
export interface CallFailure {
  readonly code: Status;
  /** Name of the code ("NOT_FOUND"). */
  readonly status: string;
  readonly message: string;
  /** Name of a `plenum.errors.v1.Reason`; "" when the failure came from the transport, not from Plenum. */
  readonly reason: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
}

/** Read a failed call's error, or undefined when it is none (a bug of the caller, an abort). */
export function callFailure(error: unknown): CallFailure | undefined {
  if (!(error instanceof ClientError)) return undefined;
  const details = error instanceof RichClientError ? error.extra : [];
  const info = details.find((detail): detail is ErrorInfo => detail.$type === ErrorInfo.$type);
  const bad = details.find((detail): detail is BadRequest => detail.$type === BadRequest.$type);
  return {
    code: error.code,
    status: Status[error.code] ?? String(error.code),
    message: error.details,
    reason: info?.reason ?? "",
    facts: info?.metadata ?? {},
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) => ({ field, description })),
  };
}

/** A repeat may succeed without anything else changing. */
export function isTransient(error: unknown): boolean {
  const code = callFailure(error)?.code;
  return code === Status.UNAVAILABLE || code === Status.ABORTED || code === Status.DEADLINE_EXCEEDED;
}
