import { sql } from "kysely";
import type { Kysely } from "kysely";
import type { Tx } from "../../call/api.ts";
import { isDaily, overQuota, QUOTA_NAMES } from "../core/quota.ts";
import type { QuotaName } from "../core/quota.ts";

/** An account's bound, and what of it is used where the account has a counter of it. */
export interface AccountQuota {
  readonly name: QuotaName;
  readonly maximum: bigint;
  /** The account's own, not the installation's. */
  readonly own: boolean;
  /** Null: not counted by account. */
  readonly used: bigint | null;
}

/** The day that counts: UTC, so that every copy means the same one. */
const TODAY = sql`(now() AT TIME ZONE 'UTC')::date`;

/** Say what accounts may have that have no limit of their own. Of several copies the one that started last decides. */
export async function writeQuotaDefaults(db: Kysely<unknown>, defaults: Readonly<Record<QuotaName, number>>): Promise<void> {
  await sql`
    INSERT INTO quota_default (quota, maximum)
    SELECT * FROM unnest(${QUOTA_NAMES}::text[], ${QUOTA_NAMES.map((name) => String(defaults[name]))}::bigint[])
    ON CONFLICT (quota) DO UPDATE SET maximum = excluded.maximum`.execute(db);
}

/** All of an account, in order of name. */
export async function accountQuotas(tx: Tx, accountId: string): Promise<AccountQuota[]> {
  const { rows } = await sql<AccountQuota>`
    SELECT d.quota AS name, coalesce(own.maximum, d.maximum) AS maximum, own.maximum IS NOT NULL AS own,
           CASE WHEN d.quota = ANY(${QUOTA_NAMES.filter(isDaily)}::text[]) AND use.day <> ${TODAY} THEN 0
                WHEN parts.used IS NULL THEN use.used ELSE greatest(0, coalesce(use.used, 0) + parts.used) END AS used
    FROM quota_default d
    LEFT JOIN account_quota own ON own.account_id = ${accountId} AND own.quota = d.quota
    LEFT JOIN account_use use ON use.account_id = ${accountId} AND use.quota = d.quota
    LEFT JOIN (SELECT quota, sum(used)::bigint AS used FROM account_use_part WHERE account_id = ${accountId} GROUP BY quota) parts
      ON parts.quota = d.quota
    ORDER BY d.quota`.execute(tx);
  return rows;
}

/** Give an account its own limit; undefined: the installation's again. */
export async function setAccountQuota(tx: Tx, accountId: string, quota: QuotaName, maximum: bigint | undefined): Promise<void> {
  await (
    maximum === undefined
      ? sql`DELETE FROM account_quota WHERE account_id = ${accountId} AND quota = ${quota}`
      : sql`INSERT INTO account_quota (account_id, quota, maximum) VALUES (${accountId}, ${quota}, ${String(maximum)}::bigint)
            ON CONFLICT (account_id, quota) DO UPDATE SET maximum = excluded.maximum`
  ).execute(tx);
}

/**
 * Count what the transaction makes (`amount` above 0) or deletes (below 0) for an account. Whoever counts the same holds its row until
 * the end: two that would pass together do not. What is deleted is never refused. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED).
 */
export async function countUse(tx: Tx, accountId: string, quota: QuotaName, amount: number): Promise<void> {
  const before = isDaily(quota) ? sql`CASE WHEN use.day = excluded.day THEN use.used ELSE 0 END` : sql`use.used`;
  const { rows } = await sql<{ used: bigint }>`
    INSERT INTO account_use AS use (account_id, quota, used, day)
    VALUES (${accountId}, ${quota}, greatest(0, ${amount}::bigint), ${TODAY})
    ON CONFLICT (account_id, quota) DO UPDATE SET used = greatest(0, ${before} + ${amount}::bigint), day = excluded.day
    RETURNING used`.execute(tx);
  const used = rows[0]?.used ?? 0n;
  // By a statement after the lock: a limit that was set meanwhile counts.
  if (amount > 0) refuseAbove(accountId, quota, await maximumOf(tx, accountId, quota), used, BigInt(amount));
}

/** Into how many parts a count is divided that many raise at once, and what one transaction adds at most without holding all of them. */
const PARTS = 16;
const MOST = 1_000;

/**
 * The same for what many make at once (interfaces): each counts in a part of its own, by chance (the last digit of `id`, hexadecimal), so
 * that they do not wait for each other's commits. Exact all the same: each leaves room for what the others may be adding, and who does
 * not find so much holds all parts, and has waited for the others (the function of the migration `0121`).
 */
export async function countPart(tx: Tx, accountId: string, quota: QuotaName, amount: number, id: string): Promise<void> {
  const digit = Number.parseInt(id.slice(-1), PARTS);
  const part = Number.isNaN(digit) ? 0 : digit;
  const { rows } = await sql<{ used: bigint; maximum: bigint | null }>`
    SELECT used, maximum
    FROM count_part(${accountId}, ${quota}, ${part}::int, ${amount}::bigint, ${PARTS}::int, ${MOST}::bigint)`.execute(tx);
  const used = rows[0]?.used ?? 0n;
  if (amount > 0) refuseAbove(accountId, quota, known(quota, rows[0]?.maximum), used, BigInt(amount));
}

/** The same for what is counted by its rows: `count` of them are there, and the lock under which they were counted is held. */
export async function requireRoom(tx: Tx, accountId: string, quota: QuotaName, count: bigint): Promise<void> {
  refuseAbove(accountId, quota, await maximumOf(tx, accountId, quota), count + 1n, 1n);
}

function refuseAbove(accountId: string, quota: QuotaName, maximum: bigint, wanted: bigint, amount: bigint): void {
  if (wanted > maximum) throw overQuota(accountId, quota, maximum, wanted - amount);
}

const maximumIn = (accountId: string, quota: QuotaName) => sql`
  coalesce((SELECT maximum FROM account_quota WHERE account_id = ${accountId} AND quota = ${quota}),
           (SELECT maximum FROM quota_default WHERE quota = ${quota}))`;

async function maximumOf(tx: Tx, accountId: string, quota: QuotaName): Promise<bigint> {
  const { rows } = await sql<{ maximum: bigint | null }>`SELECT ${maximumIn(accountId, quota)} AS maximum`.execute(tx);
  return known(quota, rows[0]?.maximum);
}

function known(quota: QuotaName, maximum: bigint | null | undefined): bigint {
  if (maximum === null || maximum === undefined) throw new Error(`the installation has no quota ${quota}`);
  return maximum;
}
