import type { Reason } from "#gen/plenum/errors/v1/reason.ts";

/** Name of a `plenum.errors.v1.Reason` value, as sent in `google.rpc.ErrorInfo.reason` (without the REASON_ prefix). */
export type ReasonName = Exclude<keyof typeof Reason, "UNSPECIFIED">;
