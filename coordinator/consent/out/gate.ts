import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";

/** Of the database's advisory locks, those that are gates of consents. */
const GATES = 70;

/**
 * Writes hold the consents on which they rest FOR SHARE, and PostgreSQL lets one such lock in beside another past whoever waits to take the
 * consent back: with enough of them there would never be a moment without. So they pass a gate of the consents' resource first; who
 * changes consents closes it, and lets those finish that are inside (as identity's gate of an account). Keys in one order for everybody.
 */
export async function passGates(tx: Tx, consentIds: readonly string[]): Promise<void> {
  await sql`
    SELECT pg_advisory_xact_lock_shared(${GATES}::int, key) FROM (
      SELECT DISTINCT hashtext(resource_id) AS key FROM consent WHERE consent_id = ANY(${[...consentIds]}::text[]) ORDER BY key
    ) AS gate`.execute(tx);
}

/** Close the gates of these resources until the transaction's end, before a consent on them is locked. */
export async function closeGates(tx: Tx, resourceIds: readonly string[]): Promise<void> {
  await sql`
    SELECT pg_advisory_xact_lock(${GATES}::int, key) FROM (
      SELECT DISTINCT hashtext(id) AS key FROM unnest(${[...resourceIds]}::text[]) AS id ORDER BY key
    ) AS gate`.execute(tx);
}
