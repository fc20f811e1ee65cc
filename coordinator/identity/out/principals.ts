import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Role } from "#lib/rpc/caller.ts";
import { alreadyExists } from "#lib/rpc/errors.ts";
import type { Hold, ResourceRef, Standing, Subject, Tx } from "../../call/api.ts";
import { closeGate, holdGate } from "./gate.ts";

/** Who speaks for an account, or operates the installation (account ""). */
export interface Principal {
  readonly accountId: string;
  readonly principalId: string;
  /** The most that its tokens let it be. */
  readonly role: Role;
  readonly description: string;
  readonly createTime: Date;
  /** Null: its tokens are accepted. */
  readonly disableTime: Date | null;
  /** Tokens issued before are not; null: none was revoked. */
  readonly tokensNotBefore: Date | null;
}

/** Names one principal. */
export type PrincipalKey = Pick<Principal, "accountId" | "principalId">;

/** A principal belongs to its account; one of operators is nobody's but theirs. */
export const principalRef = (of: PrincipalKey): ResourceRef => ({
  kind: "principal",
  id: of.principalId,
  ownerAccount: of.accountId,
});

const COLUMNS = sql`
  account_id AS "accountId", principal_id AS "principalId", role, description, create_time AS "createTime", disable_time AS "disableTime",
  tokens_not_before AS "tokensNotBefore"`;

const is = ({ accountId, principalId }: PrincipalKey) => sql`account_id = ${accountId} AND principal_id = ${principalId}`;

/** What a caller's principal may be now: for `Calls`. A token that does not say when it was issued is as old as can be. */
export function principalStanding({ accountId = "", principalId, token }: Subject, hold: Hold): RawBuilder<Standing | null> {
  const lock = hold === "none" ? sql`` : sql`FOR SHARE`;
  // In a CASE, whose branches are looked at in order: first the gate, then the rows as they are behind it.
  return sql<Standing | null>`
    SELECT CASE WHEN ${holdGate(accountId, hold)} IS NULL THEN NULL WHEN (SELECT suspend_time FROM account WHERE account_id = ${accountId} ${lock}) IS NOT NULL THEN 'suspended' ELSE (
      SELECT CASE
        WHEN disable_time IS NOT NULL THEN 'disabled'
        WHEN tokens_not_before > ${token?.issuedAt ?? new Date(0)} THEN 'revoked'
        ELSE role END
      FROM principal WHERE ${is({ accountId, principalId })} ${lock}
    ) END`;
}

export async function getPrincipal(tx: Tx, accountId: string, principalId: string): Promise<Principal | undefined> {
  const { rows } = await sql<Principal>`
    SELECT ${COLUMNS} FROM principal WHERE ${is({ accountId, principalId })}`.execute(tx);
  return rows[0];
}

export interface NewPrincipal {
  readonly accountId: string;
  readonly principalId: string;
  readonly role: Role;
  readonly description: string;
  readonly createdBy: string;
}

const insert = (one: NewPrincipal) => sql`
  INSERT INTO principal (account_id, principal_id, role, description, created_by)
  VALUES (${one.accountId}, ${one.principalId}, ${one.role}, ${one.description}, ${one.createdBy}) ON CONFLICT DO NOTHING`;

/** ALREADY_EXISTS (NAME_TAKEN) when the account has one of that name, disabled ones included. */
export async function insertPrincipal(tx: Tx, one: NewPrincipal): Promise<Principal> {
  const { rows } = await sql<Principal>`${insert(one)} RETURNING ${COLUMNS}`.execute(tx);
  const [made] = rows;
  if (made !== undefined) return made;
  throw alreadyExists("NAME_TAKEN", `the account has a principal ${one.principalId} already; choose another name`, {
    name: one.principalId,
  });
}

/** The principal, made if there is none; locked, so that it is not disabled before the caller's commit. */
export async function ensurePrincipal(tx: Tx, one: NewPrincipal): Promise<Principal> {
  await insert(one).execute(tx);
  const { rows } = await sql<Principal>`
    SELECT ${COLUMNS} FROM principal WHERE ${is(one)} FOR SHARE`.execute(tx);
  const [principal] = rows;
  if (principal === undefined) throw new Error("a principal is missing after it was made");
  return principal;
}

/** From when tokens count. Who is enabled again needs new ones: the old may be what it was disabled for. */
function notBefore({ revokeTokens, disabled }: PrincipalChange): RawBuilder<unknown> {
  if (revokeTokens === true) return sql`clock_timestamp()`;
  return disabled === false
    ? sql`CASE WHEN disable_time IS NULL THEN tokens_not_before ELSE clock_timestamp() END`
    : sql`tokens_not_before`;
}

/** What a principal's row may become. Undefined stays as it is. */
export interface PrincipalChange {
  readonly role?: Role | undefined;
  readonly description?: string | undefined;
  /** true: disable, unless it is; false: enable. */
  readonly disabled?: boolean | undefined;
  /** No token issued until now counts from now on. */
  readonly revokeTokens?: boolean | undefined;
}

/**
 * Change a principal; undefined: there is none. The row is locked first, and the clock read after that: writes that rest on it have
 * committed, and tokens whose issue was waited for are older than the revocation.
 */
export async function changePrincipal(tx: Tx, key: PrincipalKey, change: PrincipalChange): Promise<Principal | undefined> {
  await closeGate(tx, key.accountId);
  const { rows: found } = await sql`SELECT FROM principal WHERE ${is(key)} FOR UPDATE`.execute(tx);
  if (found.length === 0) return undefined;
  const keep = (column: string) => sql.ref(column);
  const { rows } = await sql<Principal>`
    UPDATE principal SET
      role = ${change.role ?? keep("role")},
      description = ${change.description ?? keep("description")},
      disable_time = ${change.disabled === undefined ? keep("disable_time") : change.disabled ? sql`coalesce(disable_time, clock_timestamp())` : sql`NULL`},
      tokens_not_before = ${notBefore(change)}
    WHERE ${is(key)} RETURNING ${COLUMNS}`.execute(tx);
  return rows[0];
}

/** In order of account and name; `only`: of no other account than this. */
export async function listPrincipals(
  tx: Tx,
  page: { only: string | undefined; after: { accountId: string; principalId: string } | undefined; limit: number },
): Promise<Principal[]> {
  const only = page.only === undefined ? sql`true` : sql`account_id = ${page.only}`;
  const after =
    page.after === undefined ? sql`true` : sql`(account_id, principal_id) > (${page.after.accountId}, ${page.after.principalId})`;
  const { rows } = await sql<Principal>`
    SELECT ${COLUMNS} FROM principal WHERE ${only} AND ${after} ORDER BY account_id, principal_id LIMIT ${page.limit}`.execute(tx);
  return rows;
}
