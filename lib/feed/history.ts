import { sql } from "kysely";
import type { Transaction } from "kysely";
import { safeName } from "../db/database.ts";
import { createLogReader } from "./log-reader.ts";
import type { Delta } from "./log-reader.ts";
import type { Position } from "./position.ts";

/**
 * All changes of a scope after `from`, as of the transaction's moment; undefined when they are gone, `from` is not a position of this
 * scope, or they are more than `most`: who has to catch up so far is served better by a snapshot.
 */
export async function changesSince<Tables>(
  tx: Transaction<Tables>,
  schema: string,
  scope: string,
  from: Position,
  most: number,
): Promise<readonly Delta[] | undefined> {
  const reader = createLogReader(tx, schema);
  const deltas: Delta[] = [];
  for (;;) {
    const answer = await reader.after(scope, deltas.at(-1) ?? from);
    if (answer.kind === "gone") return undefined;
    deltas.push(...answer.deltas);
    if (deltas.length > most) return undefined;
    if (answer.deltas.length === 0 || deltas.at(-1)?.version === answer.level) return deltas;
  }
}

/** A change that also says what it goes on top of. */
export interface LinkedDelta extends Delta {
  readonly prevMark: bigint;
}

/** The newest changes of a scope, oldest first, at most so many and so large together: what a reader that starts now may tell others of. */
export async function newestChanges<Tables>(
  tx: Transaction<Tables>,
  schema: string,
  scope: string,
  limits: { readonly changes: number; readonly octets: number },
): Promise<readonly LinkedDelta[]> {
  const table = sql.table(`${safeName(schema)}.change`);
  const { rows } = await sql<{ version: bigint; mark: bigint; prev_mark: bigint; payload: Buffer }>`
    SELECT version, mark, prev_mark, payload FROM (
      SELECT *, sum(octet_length(payload)) OVER (ORDER BY version DESC) AS octets FROM (
        SELECT version, mark, prev_mark, payload FROM ${table} WHERE scope = ${scope} ORDER BY version DESC LIMIT ${limits.changes}
      ) AS newest
    ) AS measured WHERE octets <= ${limits.octets} ORDER BY version`.execute(tx);
  return rows.map(({ prev_mark: prevMark, ...delta }) => ({ ...delta, prevMark }));
}
