import { sql } from "kysely";
import type { Kysely } from "kysely";
import { hostBarred } from "#lib/rpc/barred.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";
import { HOST_COLUMNS } from "./host-store.ts";
import type { HostRow } from "./host-store.ts";

/** Of the database's advisory locks, those that let writes finish which rest on what a host vouches for (`instance_acts`). */
const VOUCHED = 98;
/** Those that let transactions finish which place something on a host (`hold_unbarred`). */
const PLACING = 110;

/**
 * Bar a host (C8). Its sessions are older ones from now on, so that whatever it still says is refused with what is written of it; writes
 * that rest on tokens of its instances have finished, and none begins; what was being placed on it has been, and nothing is any more. The
 * last lock comes last: who holds it needs no more of the host's row. Two calls that compete for one record meanwhile may be begun anew (a
 * deadlock that the database ends). Answers it as it is then; undefined: there is none.
 */
export async function barHost(tx: Tx, hostId: string, reason: string): Promise<HostRow | undefined> {
  await sql`SELECT pg_advisory_xact_lock(${VOUCHED}::int, hashtext(${hostId}))`.execute(tx);
  const { rows } = await sql<HostRow>`
    UPDATE host SET bar_time = coalesce(bar_time, now()), bar_reason = ${reason}, session_epoch = session_epoch + 1, connected = false
    WHERE host_id = ${hostId} RETURNING ${HOST_COLUMNS}`.execute(tx);
  await sql`SELECT pg_advisory_xact_lock(${PLACING}::int, hashtext(${hostId}))`.execute(tx);
  return rows[0];
}

/**
 * Let it connect again. Tokens of its instances that were issued until now stay worth nothing: none was while it was barred, and those of before
 * may be what it was barred for.
 */
export async function unbarHost(tx: Tx, hostId: string): Promise<HostRow | undefined> {
  const { rows } = await sql<HostRow>`
    UPDATE host SET bar_time = NULL, bar_reason = '',
                    vouch_not_before = CASE WHEN bar_time IS NULL THEN vouch_not_before ELSE clock_timestamp() END
    WHERE host_id = ${hostId} RETURNING ${HOST_COLUMNS}`.execute(tx);
  return rows[0];
}

/** Those of the hosts that are barred; the others stay unbarred until the transaction's end, so that what it places there lands before the bar. */
export async function holdUnbarred(tx: Tx, hostIds: readonly string[]): Promise<readonly string[]> {
  const { rows } = await sql<{ barred: string[] }>`SELECT hold_unbarred(${hostIds}::text[]) AS barred`.execute(tx);
  return rows[0]?.barred ?? [];
}

/** Why nothing is taken from a host that has no row, or a barred one: NOT_FOUND, PERMISSION_DENIED (HOST_BARRED). */
export async function refusalOfHost(tx: Tx, hostId: string): Promise<Error> {
  return (await barredAmong(tx, [hostId])).length > 0 ? hostBarred(hostId) : notFound("host", hostId);
}

/** Those of the hosts that are barred now. */
export async function barredAmong(db: Kysely<unknown>, hostIds: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ host_id: string }>`
    SELECT host_id FROM host WHERE host_id = ANY(${hostIds}::text[]) AND bar_time IS NOT NULL`.execute(db);
  return rows.map((row) => row.host_id);
}

/** The host, and nothing is placed on it until the transaction's end. */
export async function lockHost(tx: Tx, hostId: string): Promise<Pick<HostRow, "bar_time"> | undefined> {
  const { rows } = await sql<Pick<HostRow, "bar_time">>`SELECT bar_time FROM host WHERE host_id = ${hostId} FOR UPDATE`.execute(tx);
  return rows[0];
}

/** Forget a host, and the tokens by which it joined: with its old key they would make it a host again. */
export async function removeHost(tx: Tx, hostId: string): Promise<void> {
  await sql`DELETE FROM join_token WHERE host_id = ${hostId}`.execute(tx);
  await sql`DELETE FROM host WHERE host_id = ${hostId}`.execute(tx);
}
