import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Role } from "#lib/rpc/caller.ts";
import { alreadyExists } from "#lib/rpc/errors.ts";
import type { ResourceRef, Standing, Subject, Tx } from "../../call/api.ts";

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
}

/** A principal belongs to its account; one of operators is nobody's but theirs. */
export const principalRef = (of: { accountId: string; principalId: string }): ResourceRef => ({
  kind: "principal",
  id: of.principalId,
  ownerAccount: of.accountId,
});

const COLUMNS = sql`
  account_id AS "accountId", principal_id AS "principalId", role, description, create_time AS "createTime", disable_time AS "disableTime"`;

/** What a caller's principal may be now: for `Calls`. */
export function principalStanding(subject: Subject): RawBuilder<Standing | null> {
  return sql<Standing | null>`
    SELECT CASE WHEN disable_time IS NULL THEN role ELSE 'disabled' END FROM principal
    WHERE account_id = ${subject.accountId ?? ""} AND principal_id = ${subject.principalId}`;
}

export async function getPrincipal(tx: Tx, accountId: string, principalId: string): Promise<Principal | undefined> {
  const { rows } = await sql<Principal>`
    SELECT ${COLUMNS} FROM principal WHERE account_id = ${accountId} AND principal_id = ${principalId}`.execute(tx);
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
    SELECT ${COLUMNS} FROM principal WHERE account_id = ${one.accountId} AND principal_id = ${one.principalId} FOR SHARE`.execute(tx);
  const [principal] = rows;
  if (principal === undefined) throw new Error("a principal is missing after it was made");
  return principal;
}

/** Undefined: there is none. One that is disabled stays as it is. */
export async function disablePrincipal(tx: Tx, accountId: string, principalId: string): Promise<Principal | undefined> {
  const { rows } = await sql<Principal>`
    UPDATE principal SET disable_time = coalesce(disable_time, now())
    WHERE account_id = ${accountId} AND principal_id = ${principalId} RETURNING ${COLUMNS}`.execute(tx);
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
