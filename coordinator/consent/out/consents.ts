import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { ResourceGrant, Subject, Tx } from "../../call/api.ts";
import { holdUnsuspended, isSuspended } from "../../identity/api.ts";
import { grantsOf, lapse } from "../core/consent.ts";
import type { Consent, ConsentState } from "../core/consent.ts";
import { closeGates, passGates } from "./gate.ts";

export const COLUMNS = sql`
  consent_id AS "consentId", grantor_account AS "grantorAccount", grantee_account AS "granteeAccount",
  grantee_principal AS "granteePrincipal", actions,
  resource_kind AS "resourceKind", resource_id AS "resourceId", state, (${isSuspended(sql`grantor_account`)}) AS "grantorSuspended", valid_from AS "validFrom", valid_until AS "validUntil", version,
  create_time AS "createTime", revoke_time AS "revokeTime"`;

/** Whether it allows at a time of the database's clock; `inForce` in SQL. */
const inForceAt = (time: RawBuilder<unknown>) =>
  sql`state = 'ACTIVE' AND NOT ${isSuspended(sql`grantor_account`)} AND (valid_from IS NULL OR valid_from <= ${time}) AND (valid_until IS NULL OR ${time} < valid_until)`;
const IN_FORCE = inForceAt(sql`now()`);

/** Consents in force on these resources, by resource id, in the order they were given. Resources without any are left out. */
export async function consentsOf(tx: Tx, resourceIds: readonly string[]): Promise<Map<string, Consent[]>> {
  if (resourceIds.length === 0) return new Map();
  const { rows } = await sql<Consent>`
    SELECT ${COLUMNS} FROM consent WHERE resource_id = ANY(${[...new Set(resourceIds)]}::text[]) AND ${IN_FORCE}
    ORDER BY consent_id`.execute(tx);
  return Map.groupBy(rows, (row) => row.resourceId);
}

/** A consent of a list, and whether it allows now. */
export interface ListedConsent extends Consent {
  readonly inForce: boolean;
}

/** What lists of these resources hold: consents in force, and those that will be. By resource id, in the order they were given. */
export async function listedConsents(tx: Tx, resourceIds: readonly string[]): Promise<Map<string, ListedConsent[]>> {
  if (resourceIds.length === 0) return new Map();
  const { rows } = await sql<ListedConsent>`
    SELECT ${COLUMNS}, (${IN_FORCE}) AS "inForce" FROM consent WHERE resource_id = ANY(${[...new Set(resourceIds)]}::text[]) AND state = 'ACTIVE'
      AND (valid_until IS NULL OR now() < valid_until)
    ORDER BY consent_id`.execute(tx);
  return Map.groupBy(rows, (row) => row.resourceId);
}

/** A consent that this account or principal was given for an action on a resource, and why it does not allow it now; undefined: it has none. */
export async function lapseOf(
  tx: Tx,
  grantee: Subject,
  resourceId: string,
  action: string,
): Promise<{ readonly consentId: string; readonly why: string } | undefined> {
  const { rows } = await sql<Consent & { now: Date }>`
    SELECT ${COLUMNS}, clock_timestamp() AS now FROM consent
    WHERE grantee_account = ${grantee.accountId ?? ""} AND grantee_principal IN ('', ${grantee.principalId}) AND resource_id = ${resourceId}
      AND actions @> ARRAY[${action}]::text[] AND state <> 'REVOKED'
    ORDER BY consent_id DESC`.execute(tx);
  return rows.flatMap((row) => {
    const why = lapse(row, row.now);
    return why === undefined ? [] : [{ consentId: row.consentId, why }];
  })[0];
}

/** The same as the decision reads them (`ResourceRef.grants`). */
export async function grantsFor(tx: Tx, resourceIds: readonly string[]): Promise<Map<string, ResourceGrant[]>> {
  const consents = await consentsOf(tx, resourceIds);
  return new Map([...consents].map(([id, list]) => [id, grantsOf(list)]));
}

/**
 * Those of the consents that are in force, locked: who takes one back waits for this transaction, or has been faster and it is not among
 * them (C14); and who suspends an account that gave one. In force at this very moment: a call that began in time and waited beyond it is too
 * late. `own`: those that the call has locked itself while they were; of them only the grantors are held.
 */
export async function holdConsents(tx: Tx, consentIds: readonly string[], own: readonly string[]): Promise<Set<string>> {
  const given: { id: string; grantor: string }[] = [];
  if (consentIds.length > 0) {
    await passGates(tx, consentIds);
    const { rows } = await sql<{ id: string; grantor: string }>`
      SELECT consent_id AS id, grantor_account AS grantor FROM consent
      WHERE consent_id = ANY(${[...consentIds]}::text[]) AND ${inForceAt(sql`clock_timestamp()`)} ORDER BY consent_id FOR SHARE`.execute(
      tx,
    );
    given.push(...rows);
  }
  if (own.length > 0) {
    const { rows } = await sql<{ id: string; grantor: string }>`
      SELECT consent_id AS id, grantor_account AS grantor FROM consent WHERE consent_id = ANY(${[...own]}::text[])`.execute(tx);
    given.push(...rows);
  }
  const suspended = await holdUnsuspended(
    tx,
    given.map((one) => one.grantor),
  );
  return new Set(given.filter((one) => !suspended.has(one.grantor)).map((one) => one.id));
}

/** Whom an account gave something that was not taken back, and on what. */
export async function givenBy(tx: Tx, accountId: string): Promise<Pick<Consent, "granteeAccount" | "resourceId">[]> {
  const { rows } = await sql<Pick<Consent, "granteeAccount" | "resourceId">>`
    SELECT DISTINCT grantee_account AS "granteeAccount", resource_id AS "resourceId" FROM consent
    WHERE grantor_account = ${accountId} AND state = 'ACTIVE' AND grantee_account <> grantor_account ORDER BY 1, 2`.execute(tx);
  return rows;
}

/**
 * Ids of the resources of a kind on which an account, or this principal of it, is allowed something now: what its lists hold besides its
 * account's own.
 */
export async function resourcesGrantedTo(
  tx: Tx,
  grantee: { readonly accountId: string; readonly principalId: string },
  resourceKind: string,
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT DISTINCT resource_id AS id FROM consent
    WHERE grantee_account = ${grantee.accountId} AND grantee_principal IN ('', ${grantee.principalId})
      AND resource_kind = ${resourceKind} AND ${IN_FORCE}`.execute(tx);
  return rows.map((row) => row.id);
}

/**
 * Resources on which a consent given by or to this account began or ended to be in force after `since`, and not after `until`, because
 * of the time alone.
 */
export async function resourcesByTime(tx: Tx, accountId: string, resourceKind: string, since: Date, until: Date): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT DISTINCT resource_id AS id FROM (
      SELECT * FROM consent WHERE valid_from > ${since} AND valid_from <= ${until}
      UNION ALL
      SELECT * FROM consent WHERE valid_until > ${since} AND valid_until <= ${until}
    ) AS turned
    WHERE state = 'ACTIVE' AND resource_kind = ${resourceKind} AND (grantor_account = ${accountId} OR grantee_account = ${accountId})`.execute(
    tx,
  );
  return rows.map((row) => row.id);
}

/** One consent, whatever its state. */
export async function readConsent(tx: Tx, consentId: string): Promise<Consent | undefined> {
  const { rows } = await sql<Consent>`SELECT ${COLUMNS} FROM consent WHERE consent_id = ${consentId}`.execute(tx);
  return rows[0];
}

/** These consents, locked for a change: what rests on them has committed. In order of id. */
export async function lockConsents(tx: Tx, resourceIds: readonly string[], consentIds: readonly string[]): Promise<ListedConsent[]> {
  await closeGates(tx, resourceIds);
  const { rows } = await sql<ListedConsent>`
    SELECT ${COLUMNS}, (${inForceAt(sql`clock_timestamp()`)}) AS "inForce" FROM consent
    WHERE consent_id = ANY(${[...consentIds]}::text[]) ORDER BY consent_id FOR UPDATE`.execute(tx);
  return rows;
}

export interface ConsentFilter {
  /** Given by or to this account; undefined: all. */
  readonly party: string | undefined;
  /** Empty: any. */
  readonly resourceId: string;
  /** Undefined: any. */
  readonly state: ConsentState | undefined;
  readonly after: string;
  readonly limit: number;
}

/** In order of id. */
export async function listConsents(tx: Tx, filter: ConsentFilter): Promise<Consent[]> {
  const { party, resourceId, state } = filter;
  const { rows } = await sql<Consent>`
    SELECT ${COLUMNS} FROM consent
    WHERE ${party === undefined ? sql`true` : sql`(grantor_account = ${party} OR grantee_account = ${party})`}
      AND ${resourceId === "" ? sql`true` : sql`resource_id = ${resourceId}`}
      AND ${state === undefined ? sql`true` : sql`state = ${state}`}
      AND consent_id > ${filter.after}
    ORDER BY consent_id LIMIT ${filter.limit}`.execute(tx);
  return rows;
}

/** Those of one list of a resource that are not revoked, in force or not. */
export async function standingConsents(tx: Tx, resourceId: string, actions: readonly string[]): Promise<Consent[]> {
  const { rows } = await sql<Consent>`
    SELECT ${COLUMNS} FROM consent
    WHERE resource_id = ${resourceId} AND actions = ${[...actions].sort()}::text[] AND state <> 'REVOKED' ORDER BY consent_id`.execute(tx);
  return rows;
}
