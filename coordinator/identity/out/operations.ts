import { sql } from "kysely";
import type { Bus } from "#lib/bus/bus.ts";
import { newId } from "#lib/ids/ids.ts";
import type { Tx, WriteCall } from "../../call/api.ts";

export type OperationStateName = "RUNNING" | "SUCCEEDED" | "FAILED";

export interface Operation {
  readonly operationId: string;
  /** The RPC's name: "RunInstance". */
  readonly kind: string;
  readonly subjectId: string;
  readonly ownerAccount: string;
  readonly state: OperationStateName;
  readonly message: string;
  readonly createTime: Date;
  readonly endTime: Date | null;
}

/** Says that the operation whose id is the message's text has ended. A hint: the row is the truth. */
export const OPERATION_SUBJECT = "plenum.int.operation";

const COLUMNS = sql`
  operation_id AS "operationId", kind, subject_id AS "subjectId", owner_account AS "ownerAccount", state, message,
  create_time AS "createTime", end_time AS "endTime"`;

export async function getOperation(tx: Tx, operationId: string): Promise<Operation | undefined> {
  const { rows } = await sql<Operation>`SELECT ${COLUMNS} FROM operation WHERE operation_id = ${operationId}`.execute(tx);
  return rows[0];
}

export interface OperationFilter {
  /** Only of this account; undefined: of all. */
  readonly ownerAccount: string | undefined;
  /** Only about this; empty: about anything. */
  readonly subjectId: string;
  /** Ids smaller than this; empty: from the newest. */
  readonly before: string;
  readonly limit: number;
}

/** Newest first. */
export async function listOperations(tx: Tx, filter: OperationFilter): Promise<Operation[]> {
  const owner = filter.ownerAccount === undefined ? sql`true` : sql`owner_account = ${filter.ownerAccount}`;
  const subject = filter.subjectId === "" ? sql`true` : sql`subject_id = ${filter.subjectId}`;
  const before = filter.before === "" ? sql`true` : sql`operation_id < ${filter.before}`;
  const { rows } = await sql<Operation>`
    SELECT ${COLUMNS} FROM operation WHERE ${owner} AND ${subject} AND ${before}
    ORDER BY operation_id DESC LIMIT ${filter.limit}`.execute(tx);
  return rows;
}

/** Long work as other modules begin and end it, inside their own transactions. */
export interface Operations {
  /** Begin: RUNNING. Answers its id. */
  createOperation(call: WriteCall, operation: { kind: string; subjectId: string; ownerAccount: string }): Promise<string>;
  /**
   * End the subject's RUNNING operations of these kinds, and wake who waits for them after the commit. `message` says why it failed,
   * empty when all is well. Answers how many ended: none is no error (a repeat).
   */
  finishOperation(
    call: WriteCall,
    subjectId: string,
    kinds: readonly string[],
    state: "SUCCEEDED" | "FAILED",
    message?: string,
  ): Promise<number>;
}

export function createOperations(bus: Bus): Operations {
  return {
    async createOperation(call, { kind, subjectId, ownerAccount }) {
      const operationId = newId("op");
      await sql`
        INSERT INTO operation (operation_id, kind, subject_id, owner_account, state)
        VALUES (${operationId}, ${kind}, ${subjectId}, ${ownerAccount}, 'RUNNING')`.execute(call.tx);
      return operationId;
    },
    async finishOperation(call, subjectId, kinds, state, message = "") {
      const { rows } = await sql<{ id: string }>`
        UPDATE operation SET state = ${state}, message = ${message}, end_time = now()
        WHERE subject_id = ${subjectId} AND kind = ANY(${[...kinds]}::text[]) AND state = 'RUNNING'
        RETURNING operation_id AS id`.execute(call.tx);
      call.afterCommit(() => {
        for (const { id } of rows) bus.publish(OPERATION_SUBJECT, Buffer.from(id));
      });
      return rows.length;
    },
  };
}
