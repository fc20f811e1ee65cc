import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";

/** Rows that one statement removes at most, so that none runs for long, however much nobody removed for how long. */
const BATCH = 5_000;

/** How whoever removes much goes about it. */
export interface BatchOptions {
  /** Rows of one batch at most. */
  readonly batch?: number;
  /** Ends the removal before its next batch: it throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Delete the rows of which `over` is true. Each batch is a transaction of its own; any number of copies may do it. A row that was written
 * since it was chosen has another ctid and stays.
 */
export async function deleteInBatches<Tables>(
  db: Kysely<Tables>,
  table: string,
  over: RawBuilder<unknown>,
  { batch = BATCH, signal }: BatchOptions = {},
): Promise<void> {
  const name = sql.table(table);
  for (;;) {
    signal?.throwIfAborted();
    const { numAffectedRows = 0n } = await sql`
      DELETE FROM ${name} WHERE ctid = ANY (ARRAY (SELECT ctid FROM ${name} WHERE ${over} LIMIT ${batch}))`.execute(db);
    if (numAffectedRows < BigInt(batch)) return;
  }
}
