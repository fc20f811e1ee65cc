import { sql } from "kysely";
import { resourceExhausted } from "#lib/rpc/errors.ts";
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

/** Bring a consent's limit to `maximum`, below what was used if need be; null: none. What was counted stays counted. */
export async function changeLimit(tx: Tx, consentId: string, counter: string, maximum: number | null): Promise<void> {
  await (
    maximum === null
      ? sql`DELETE FROM consent_limit WHERE consent_id = ${consentId} AND counter = ${counter}`
      : sql`INSERT INTO consent_limit (consent_id, counter, maximum) VALUES (${consentId}, ${counter}, ${maximum})
            ON CONFLICT (consent_id, counter) DO UPDATE SET maximum = excluded.maximum`
  ).execute(tx);
}

/**
 * Count `amount` (negative: give back) against one of the consents that allow the same, in the transaction that does what is counted:
 * both or neither (C15). Nothing is counted where one of them limits nothing of that name, else it is the first with room for it. None
 * has: RESOURCE_EXHAUSTED (LIMIT_EXCEEDED).
 */
export async function countAgainst(tx: Tx, consentIds: readonly string[], counter: string, amount: number): Promise<void> {
  const { rows } = await sql<{ consentId: string; maximum: bigint; used: bigint }>`
    SELECT consent_id AS "consentId", maximum, used FROM consent_limit
    WHERE consent_id = ANY(${[...consentIds]}::text[]) AND counter = ${counter} ORDER BY consent_id FOR UPDATE`.execute(tx);
  const [first] = rows;
  if (first === undefined || rows.length < new Set(consentIds).size) return;
  const counted = rows.find((limit) => limit.used + BigInt(amount) <= limit.maximum || amount < 0);
  if (counted === undefined) {
    const { consentId, maximum, used } = first;
    throw resourceExhausted(
      "LIMIT_EXCEEDED",
      `${consentId} allows ${maximum} ${counter}, of which ${used} are used: ask its grantor for more`,
      {
        consent_id: consentId,
        counter,
        limit: String(maximum),
        used: String(used),
      },
    );
  }
  await sql`
    UPDATE consent_limit SET used = greatest(0, used + ${amount}::bigint)
    WHERE consent_id = ${counted.consentId} AND counter = ${counter}`.execute(tx);
}
