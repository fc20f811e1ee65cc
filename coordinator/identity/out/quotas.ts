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
/** What transactions that nobody sees yet may have added to the other parts: one holds each. */
const UNSEEN = (PARTS - 1) * MOST;

interface Part {
  readonly accountId: string;
  readonly quota: QuotaName;
  readonly part: number;
}

/**
 * The same for what many make at once (interfaces): each counts in a part of its own, by chance (the last digit of `id`, hexadecimal), so
 * that they do not wait for each other's commits. Exact all the same: each leaves room for what the others may be adding, and who does
 * not find so much holds all parts, and has waited for the others.
 */
export async function countPart(tx: Tx, accountId: string, quota: QuotaName, amount: number, id: string): Promise<void> {
  const digit = Number.parseInt(id.slice(-1), PARTS);
  const of = { accountId, quota, part: Number.isNaN(digit) ? 0 : digit };
  const held = await raise(tx, of, amount, amount > MOST);
  if (amount <= 0) return;
  let { used, maximum } = await roomOf(tx, of);
  if (held < PARTS && used + BigInt(UNSEEN) > maximum) {
    // There was room before the part was held. Two that come here at once may wait for each other's parts: then one of them runs again.
    await raise(tx, of, 0, true);
    ({ used, maximum } = await roomOf(tx, of));
  }
  refuseAbove(accountId, quota, maximum, used, BigInt(amount));
}

const usedIn = ({ accountId, quota }: Part) => sql`
  (coalesce((SELECT used FROM account_use WHERE account_id = ${accountId} AND quota = ${quota}), 0)
   + coalesce((SELECT sum(used) FROM account_use_part WHERE account_id = ${accountId} AND quota = ${quota}), 0))::bigint`;

/** Add to a part and hold it until the end; all parts, in their order, with `all` or where little room is seen. How many are held. */
async function raise(tx: Tx, of: Part, amount: number, all: boolean): Promise<number> {
  const { accountId, quota, part } = of;
  const { rows } = await sql`
    INSERT INTO account_use_part AS use (account_id, quota, part, used)
    SELECT ${accountId}, ${quota}, one, CASE WHEN one = ${part}::int THEN ${amount}::bigint ELSE 0 END
    FROM generate_series(0, ${PARTS - 1}::int) AS one
    WHERE one = ${part}::int OR ${all}::boolean
      OR (${amount}::bigint > 0 AND ${usedIn(of)} + ${amount}::bigint + ${UNSEEN}::bigint > ${maximumIn(accountId, quota)})
    ORDER BY one
    ON CONFLICT (account_id, quota, part) DO UPDATE SET used = use.used + excluded.used
    RETURNING 1`.execute(tx);
  return rows.length;
}

/** By a statement after the lock. */
async function roomOf(tx: Tx, of: Part): Promise<{ used: bigint; maximum: bigint }> {
  const { rows } = await sql<{ used: bigint; maximum: bigint | null }>`
    SELECT ${usedIn(of)} AS used, ${maximumIn(of.accountId, of.quota)} AS maximum`.execute(tx);
  const used = rows[0]?.used ?? 0n;
  const maximum = rows[0]?.maximum ?? undefined;
  if (maximum === undefined) throw new Error(`the installation has no quota ${of.quota}`);
  return { used, maximum };
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
  const maximum = rows[0]?.maximum ?? undefined;
  if (maximum === undefined) throw new Error(`the installation has no quota ${quota}`);
  return maximum;
}
