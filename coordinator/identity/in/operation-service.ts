import { OperationServiceDefinition } from "#gen/plenum/operation/v1/operation.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { notFound } from "#lib/rpc/errors.ts";
import { soughtName } from "#lib/rpc/name.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import { durationMs, openPage, visibleAccount } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import { getOperation, listOperations, OPERATION_SUBJECT } from "../out/operations.ts";
import type { Operation } from "../out/operations.ts";
import { Wake } from "../out/wake.ts";
import { operationMessage as encode } from "./operation-message.ts";

const WAIT = { minMs: 0, maxMs: 60_000, absentMs: 30_000 };
/** Backstop for a lost wake-up. */
const POLL_MS = 500;

export function operationService({ calls, pages, bus }: { calls: Calls; pages: PageTokens; bus: Bus }): ServiceBinding {
  const read = (operationId: string, context: ServerContext): Promise<Operation> =>
    calls.read(context, context.action, async (call) => {
      const operation = await getOperation(call.tx, operationId);
      if (operation === undefined) throw notFound("operation", operationId);
      call.requireSee({ kind: "operation", id: operationId, ownerAccount: operation.ownerAccount });
      return operation;
    });

  return bind(OperationServiceDefinition, {
    async getOperation(request, context) {
      return { operation: encode(await read(parseId("op", request.operationId, "operation_id"), context)) };
    },

    async listOperations(request, context) {
      const subjectId = soughtName(request.subjectId, "subject_id");
      const page = openPage(pages, context, request, { subjectId });
      return calls.read(context, context.action, async (call) => {
        const ownerAccount = visibleAccount(call.subject);
        const rows = await listOperations(call.tx, { ownerAccount, subjectId, before: page.after, limit: page.limit });
        const { items, nextPageToken } = page.cut(rows, (row) => row.operationId);
        return { operations: items.map(encode), nextPageToken };
      });
    },

    async waitOperation(request, context) {
      const operationId = parseId("op", request.operationId, "operation_id");
      const end = performance.now() + durationMs(request.timeout, "timeout", WAIT);
      const wake = new Wake();
      // First the subscription, then the level: what ends in between is not missed (C3).
      const subscription = bus.subscribe(OPERATION_SUBJECT, ({ data }) => {
        if (Buffer.from(data).toString() === operationId) wake.wake();
      });
      try {
        for (;;) {
          const operation = await read(operationId, context);
          const left = end - performance.now();
          if (operation.state !== "RUNNING" || left <= 0) return { operation: encode(operation) };
          await wake.wait(Math.min(left, POLL_MS), context.signal);
          context.signal.throwIfAborted();
        }
      } finally {
        subscription.unsubscribe();
      }
    },
  });
}
