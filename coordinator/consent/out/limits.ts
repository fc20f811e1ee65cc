import { sql } from "kysely";
import { Status } from "nice-grpc-common";
import { PlenumError } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";
import type { ConsentLimit } from "../core/consent.ts";

export interface NewLimit {
  readonly consentId: string;
  /** What is counted ("attachments"). */
  readonly counter: string;
  /** 0 or more. */
  readonly maximum: number;
}

/** Bound what is done by consents that have no such limit yet. */
export async function setLimits(tx: Tx, limits: readonly NewLimit[]): Promise<void> {
  if (limits.length === 0) return;
  await sql`
    INSERT INTO consent_limit (consent_id, counter, maximum)
    SELECT * FROM unnest(${limits.map((one) => one.consentId)}::text[], ${limits.map((one) => one.counter)}::text[],
                         ${limits.map((one) => String(one.maximum))}::bigint[])`.execute(tx);
}

/** Limits by consent id. Consents without any are left out. */
export async function limitsOf(tx: Tx, consentIds: readonly string[]): Promise<Map<string, ConsentLimit[]>> {
  if (consentIds.length === 0) return new Map();
  const { rows } = await sql<ConsentLimit & { consentId: string }>`
    SELECT consent_id AS "consentId", counter, maximum, used FROM consent_limit
    WHERE consent_id = ANY(${[...consentIds]}::text[]) ORDER BY consent_id, counter`.execute(tx);
  return Map.groupBy(rows, (row) => row.consentId);
}

/**
 * Count `amount` (negative: give back) against a consent's limit, in the transaction that does what is counted: both or neither (C15).
 * Nothing happens where nothing of that name is limited. Over the limit: RESOURCE_EXHAUSTED (LIMIT_EXCEEDED).
 */
export async function countAgainst(tx: Tx, consentId: string, counter: string, amount: number): Promise<void> {
  const { rows } = await sql<{ maximum: bigint; used: bigint }>`
    SELECT maximum, used FROM consent_limit WHERE consent_id = ${consentId} AND counter = ${counter} FOR UPDATE`.execute(tx);
  const [limit] = rows;
  if (limit === undefined) return;
  const used = limit.used + BigInt(amount);
  if (used > limit.maximum) {
    throw new PlenumError({
      code: Status.RESOURCE_EXHAUSTED,
      reason: "LIMIT_EXCEEDED",
      message: `${consentId} allows ${limit.maximum} ${counter}, of which ${limit.used} are used: ask its grantor for more`,
      facts: { consent_id: consentId, counter, limit: String(limit.maximum), used: String(limit.used) },
    });
  }
  await sql`
    UPDATE consent_limit SET used = greatest(0, ${String(used)}::bigint)
    WHERE consent_id = ${consentId} AND counter = ${counter}`.execute(tx);
}
