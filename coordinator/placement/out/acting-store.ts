import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Hold, Standing, Subject, Tx } from "../../call/api.ts";
import { principalStanding } from "../../identity/api.ts";

/**
 * What a caller's principal may be now, for `Calls`; and if an instance acts as it, whether that is still where and what its token says.
 * The account's gate comes first, as in every write.
 */
export function callerStanding(subject: Subject, hold: Hold): RawBuilder<Standing | null> {
  const own = principalStanding(subject, hold);
  const { via, accountId = "", principalId, token } = subject;
  if (via === undefined) return own;
  // As for a principal: a token that does not say when it was issued is as old as can be.
  const issuedAt = token?.issuedAt ?? new Date(0);
  const acts = sql`
    instance_acts(${via.instanceId}, ${via.hostId}, ${via.generation}::bigint, ${accountId}, ${principalId}, ${issuedAt}::timestamptz, ${hold !== "none"})`;
  return sql<Standing | null>`
    SELECT CASE WHEN own.standing IN ('suspended', 'disabled', 'revoked') THEN own.standing WHEN NOT ${acts} THEN 'ended' ELSE own.standing END
    FROM (SELECT (${own}) AS standing OFFSET 0) AS own`;
}

/**
 * Let those writes finish that rest on the instance's tokens, and no other begin until the transaction's end; before the instance's row is
 * locked, which those writes may want, too.
 */
export async function closeActing(tx: Tx, instanceId: string): Promise<void> {
  await sql`SELECT pg_advisory_xact_lock(87, hashtext(${instanceId}))`.execute(tx);
}

/** The present generation of a locked instance has got its first token. */
export async function noteVouched(tx: Tx, instanceId: string): Promise<void> {
  await sql`UPDATE instance SET vouched_generation = generation WHERE instance_id = ${instanceId}`.execute(tx);
}

/** What a principal may be for an instance that is to act as it. */
export async function actorStanding(tx: Tx, accountId: string, principalId: string, now: Date): Promise<Standing | null> {
  const subject: Subject = { kind: "account", principalId, accountId, token: { issuedAt: now, expiresAt: now } };
  const { rows } = await sql<{ standing: Standing | null }>`SELECT (${principalStanding(subject, "none")}) AS standing`.execute(tx);
  return rows[0]?.standing ?? null;
}
