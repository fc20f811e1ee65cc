import { OperationState, operationStateToJSON } from "#gen/plenum/operation/v1/operation.ts";
import type { Operation, OperationServiceDefinition } from "#gen/plenum/operation/v1/operation.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { CliError, ExitCode } from "./cli-error.ts";
import { duration } from "./values.ts";

/** After so long we say what is waited for, and again when that is something else. Below the minute that the server waits in one call. */
const TELL_AFTER_MS = 2_000;

/** Waits until an operation is done. @throws CliError if it failed, or is not done after `timeoutMs` */
export async function waitForOperation(
  client: PlenumClient<typeof OperationServiceDefinition>,
  operationId: string,
  timeoutMs: number,
): Promise<Operation> {
  const end = performance.now() + timeoutMs;
  let told = "";
  for (;;) {
    const left = Math.max(0, Math.min(TELL_AFTER_MS, end - performance.now()));
    const { operation } = await client.waitOperation({ operationId, timeout: duration(Math.round(left)) });
    if (operation?.state === OperationState.SUCCEEDED) return operation;
    if (operation?.state === OperationState.FAILED) {
      throw new CliError(
        `${operation.kind} of ${operation.subjectId} failed: ${operation.message}`,
        `plenum operation get ${operationId}`,
        ExitCode.CONFLICT,
      );
    }
    const state = operation === undefined ? "" : ` (${operationStateToJSON(operation.state)}) ${operation.message}`.trimEnd();
    if (performance.now() < end && told !== state) {
      told = state;
      process.stderr.write(`plenum: waiting for ${operation?.kind ?? ""} of ${operation?.subjectId ?? ""}${state}\n`);
    }
    if (performance.now() >= end) {
      throw new CliError(
        `operation ${operationId} is not done after ${timeoutMs / 1_000} s${state}`,
        `it goes on; wait longer with: plenum operation wait ${operationId} --timeout 5m`,
        ExitCode.UNREACHABLE,
      );
    }
  }
}
