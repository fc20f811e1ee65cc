import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import { violatedConstraint } from "#lib/db/errors.ts";
import { alreadyExists, notFound } from "#lib/rpc/errors.ts";
import type { ResourceRef, Tx } from "../../call/api.ts";
import { closeGate, closeGrantorGate, passGrantorGates } from "./gate.ts";

export interface Account {
  readonly accountId: string;
  readonly name: string;
  readonly description: string;
  readonly createTime: Date;
  /** Null: its principals' calls are taken. */
  readonly suspendTime: Date | null;
}

/** An account owns itself. */
export const accountRef = (accountId: string): ResourceRef => ({ kind: "account", id: accountId, ownerAccount: accountId });

const COLUMNS = sql`account_id AS "accountId", name, description, create_time AS "createTime", suspend_time AS "suspendTime"`;

export async function getAccount(tx: Tx, accountId: string): Promise<Account | undefined> {
  const { rows } = await sql<Account>`SELECT ${COLUMNS} FROM account WHERE account_id = ${accountId}`.execute(tx);
  return rows[0];
}

/** The account, or NOT_FOUND. Whether the caller may see it is not asked here. */
export async function requireAccount(tx: Tx, accountId: string): Promise<Account> {
  const account = await getAccount(tx, accountId);
  if (account === undefined) throw notFound("account", accountId);
  return account;
}

/** Those of the ids that are accounts. */
export async function existingAccounts(tx: Tx, accountIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    SELECT account_id AS id FROM account WHERE account_id = ANY(${[...new Set(accountIds)]}::text[])`.execute(tx);
  return new Set(rows.map((row) => row.id));
}

/** ALREADY_EXISTS (NAME_TAKEN) when there is one of that name. */
export async function insertAccount(
  tx: Tx,
  account: { accountId: string; name: string; description: string; createdBy: string },
): Promise<Account> {
  try {
    const { rows } = await sql<Account>`
      INSERT INTO account (account_id, name, description, created_by)
      VALUES (${account.accountId}, ${account.name}, ${account.description}, ${account.createdBy}) RETURNING ${COLUMNS}`.execute(tx);
    const row = rows[0];
    if (row === undefined) throw new Error("an insert returned nothing");
    return row;
  } catch (error) {
    if (violatedConstraint(error)?.constraint !== "account_name") throw error;
    throw alreadyExists("NAME_TAKEN", `an account is named ${account.name} already; choose another name`, { name: account.name });
  }
}

/** Whether an account is suspended: for statements of others. `accountId`: SQL of a text. */
export const isSuspended = (accountId: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql<boolean>`EXISTS (SELECT FROM account WHERE account_id = ${accountId} AND suspend_time IS NOT NULL)`;

/**
 * Those of the accounts that are suspended. The others are not until the transaction's end: who suspends one waits for this transaction, or
 * has been faster and it is among them.
 */
export async function holdUnsuspended(tx: Tx, accountIds: readonly string[]): Promise<Set<string>> {
  await passGrantorGates(tx, accountIds);
  const { rows } = await sql<{ id: string; suspended: boolean }>`
    SELECT account_id AS id, suspend_time IS NOT NULL AS suspended FROM account
    WHERE account_id = ANY(${[...new Set(accountIds)]}::text[]) ORDER BY account_id FOR SHARE`.execute(tx);
  return new Set(rows.flatMap((row) => (row.suspended ? [row.id] : [])));
}

/**
 * Suspend or resume; undefined: there is none. It waits for writes of its principals, and of others that rest on its consents; one that is so
 * already stays as it is.
 */
export async function setSuspended(tx: Tx, accountId: string, suspended: boolean): Promise<Account | undefined> {
  await closeGate(tx, accountId);
  await closeGrantorGate(tx, accountId);
  const { rows } = await sql<Account>`
    UPDATE account SET suspend_time = ${suspended ? sql`coalesce(suspend_time, now())` : sql`NULL`}
    WHERE account_id = ${accountId} RETURNING ${COLUMNS}`.execute(tx);
  return rows[0];
}

/** In order of id; `only`: no other account than this. */
export async function listAccounts(tx: Tx, page: { only: string | undefined; after: string; limit: number }): Promise<Account[]> {
  const only = page.only === undefined ? sql`true` : sql`account_id = ${page.only}`;
  const { rows } = await sql<Account>`
    SELECT ${COLUMNS} FROM account WHERE ${only} AND account_id > ${page.after} ORDER BY account_id LIMIT ${page.limit}`.execute(tx);
  return rows;
}
