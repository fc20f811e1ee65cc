import { OperationState } from "#gen/plenum/operation/v1/operation.ts";
import type { Operation as OperationMessage } from "#gen/plenum/operation/v1/operation.ts";
import type { Operation } from "../out/operations.ts";

/** An operation as callers see it. */
export const operationMessage = (operation: Operation): OperationMessage => ({
  ...operation,
  state: OperationState[operation.state],
  endTime: operation.endTime ?? undefined,
});
