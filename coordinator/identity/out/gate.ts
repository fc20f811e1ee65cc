import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Hold, Tx } from "../../call/api.ts";

/** Of the database's advisory locks, those that are gates. */
const GATES = 46;

/**
 * Writes hold their principal's and account's rows FOR SHARE, and PostgreSQL lets one such lock in beside another past whoever waits to
 * change the row: a flood of writes by a leaked token would hold up its own revocation. So writes pass a gate of their account first; who
 * revokes closes it, and lets those finish that are inside. The rows' locks are what counts, the gate only says whose turn it is.
 */
const passGate = (accountId: string): RawBuilder<string> =>
  sql<string>`pg_advisory_xact_lock_shared(${GATES}::int, hashtext(${accountId}))::text`;

/** Those for writes of others that rest on what the account gave them. */
const GRANTORS = 113;

/** Pass the gates of accounts whose consents a write rests on, as its last thing before its answer. Keys in one order for everybody. */
export async function passGrantorGates(tx: Tx, accountIds: readonly string[]): Promise<void> {
  await sql`
    SELECT pg_advisory_xact_lock_shared(${GRANTORS}::int, key) FROM (
      SELECT DISTINCT hashtext(id) AS key FROM unnest(${[...accountIds]}::text[]) AS id ORDER BY key
    ) AS gate`.execute(tx);
}

/** Close it, after the account's own: writes that are inside need nothing more of the account. */
export async function closeGrantorGate(tx: Tx, accountId: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(${GRANTORS}::int, hashtext(${accountId}))`.execute(tx);
}

const closing = (accountId: string): RawBuilder<string> => sql<string>`pg_advisory_xact_lock(${GATES}::int, hashtext(${accountId}))::text`;

/** Pass it, or close it before it was passed: who passed it, and closes it then, waits for whoever does the same, who waits for it. */
export function holdGate(accountId: string, hold: Hold): RawBuilder<string> {
  if (hold === "none") return sql<string>`''`;
  return hold === "alone" ? closing(accountId) : passGate(accountId);
}

/**
 * Close the account's gate until the transaction's end, before a row is locked that writes hold. Who is of the account itself says in its
 * `WriteOptions` that it will, so that it has not passed the gate.
 */
export async function closeGate(tx: Tx, accountId: string): Promise<void> {
  await sql`SELECT ${closing(accountId)}`.execute(tx);
}
