import { sql } from "kysely";
import type { ResourceGrant, Tx } from "../../call/api.ts";
import { grantsOf } from "../core/consent.ts";
import type { Consent, ConsentState } from "../core/consent.ts";

export const COLUMNS = sql`
  consent_id AS "consentId", grantor_account AS "grantorAccount", grantee_account AS "granteeAccount", actions,
  resource_kind AS "resourceKind", resource_id AS "resourceId", state, valid_from AS "validFrom", valid_until AS "validUntil", version,
  create_time AS "createTime", revoke_time AS "revokeTime"`;

/** Whether it allows now, by the database's clock; `inForce` in SQL. */
const IN_FORCE = sql`state = 'ACTIVE' AND (valid_from IS NULL OR valid_from <= now()) AND (valid_until IS NULL OR now() < valid_until)`;

/** Consents in force on these resources, by resource id, in the order they were given. Resources without any are left out. */
export async function consentsOf(tx: Tx, resourceIds: readonly string[]): Promise<Map<string, Consent[]>> {
  if (resourceIds.length === 0) return new Map();
  const { rows } = await sql<Consent>`
    SELECT ${COLUMNS} FROM consent WHERE resource_id = ANY(${[...new Set(resourceIds)]}::text[]) AND ${IN_FORCE}
    ORDER BY consent_id`.execute(tx);
  return Map.groupBy(rows, (row) => row.resourceId);
}

/** The same as the decision reads them (`ResourceRef.grants`). */
export async function grantsFor(tx: Tx, resourceIds: readonly string[]): Promise<Map<string, ResourceGrant[]>> {
  const consents = await consentsOf(tx, resourceIds);
  return new Map([...consents].map(([id, list]) => [id, grantsOf(list)]));
}

/**
 * Those of the consents that are in force, locked: who takes one back waits for this transaction, or has been faster and it is not among
 * them (C14).
 */
export async function holdConsents(tx: Tx, consentIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    SELECT consent_id AS id FROM consent WHERE consent_id = ANY(${[...consentIds]}::text[]) AND ${IN_FORCE}
    ORDER BY consent_id FOR SHARE`.execute(tx);
  return new Set(rows.map((row) => row.id));
}

/** Ids of the resources of a kind on which others allow this account something now: what its lists hold besides its own. */
export async function resourcesGrantedTo(tx: Tx, granteeAccount: string, resourceKind: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT DISTINCT resource_id AS id FROM consent
    WHERE grantee_account = ${granteeAccount} AND resource_kind = ${resourceKind} AND ${IN_FORCE}`.execute(tx);
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

/** One consent, whatever its state; `lock`: for a change. */
export async function readConsent(tx: Tx, consentId: string, lock = false): Promise<Consent | undefined> {
  const { rows } = await sql<Consent>`
    SELECT ${COLUMNS} FROM consent WHERE consent_id = ${consentId} ${lock ? sql`FOR UPDATE` : sql``}`.execute(tx);
  return rows[0];
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
