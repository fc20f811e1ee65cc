import { sql } from "kysely";
import { newId } from "#lib/ids/ids.ts";
import type { ResourceGrant, ResourceRef, Tx, WriteCall } from "../../call/api.ts";
import { grantsOf, planConsents } from "../core/consent.ts";
import type { Consent } from "../core/consent.ts";

const COLUMNS = sql`
  consent_id AS "consentId", grantor_account AS "grantorAccount", grantee_account AS "granteeAccount", actions,
  resource_kind AS "resourceKind", resource_id AS "resourceId", create_time AS "createTime"`;

/** Active consents on these resources, by resource id, in the order they were given. Resources without any are left out. */
export async function consentsOf(tx: Tx, resourceIds: readonly string[]): Promise<Map<string, Consent[]>> {
  const byResource = new Map<string, Consent[]>();
  if (resourceIds.length === 0) return byResource;
  const { rows } = await sql<Consent>`
    SELECT ${COLUMNS} FROM consent WHERE resource_id = ANY(${[...new Set(resourceIds)]}::text[]) AND state = 'ACTIVE'
    ORDER BY consent_id`.execute(tx);
  for (const row of rows) {
    const list = byResource.get(row.resourceId);
    if (list === undefined) byResource.set(row.resourceId, [row]);
    else list.push(row);
  }
  return byResource;
}

/** The same as the decision reads them (`ResourceRef.grants`). */
export async function grantsFor(tx: Tx, resourceIds: readonly string[]): Promise<Map<string, ResourceGrant[]>> {
  const consents = await consentsOf(tx, resourceIds);
  return new Map([...consents].map(([id, list]) => [id, grantsOf(list)]));
}

/** Ids of the resources of a kind on which others allow this account something now: what its lists hold besides its own. */
export async function resourcesGrantedTo(tx: Tx, granteeAccount: string, resourceKind: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT DISTINCT resource_id AS id FROM consent
    WHERE grantee_account = ${granteeAccount} AND resource_kind = ${resourceKind} AND state = 'ACTIVE'`.execute(tx);
  return rows.map((row) => row.id);
}

export interface NewConsent {
  readonly granteeAccount: string;
  readonly actions: readonly string[];
  readonly resource: ResourceRef;
}

/**
 * Give consents, in the name of each resource's owner, in one statement; answers them in the same order. The caller has checked that
 * the grantees exist. An account may hold one active consent for the same actions on one resource: a second one is the database's
 * unique violation.
 */
export async function createConsents(call: WriteCall, wanted: readonly NewConsent[]): Promise<Consent[]> {
  if (wanted.length === 0) return [];
  const rows = wanted.map((one) => ({
    consent_id: newId("cons"),
    grantor_account: one.resource.ownerAccount,
    grantee_account: one.granteeAccount,
    actions: [...one.actions].sort(),
    resource_kind: one.resource.kind,
    resource_id: one.resource.id,
  }));
  const made = await sql<Consent>`
    INSERT INTO consent (consent_id, grantor_account, grantee_account, actions, resource_kind, resource_id, state, created_by)
    SELECT consent_id, grantor_account, grantee_account, actions, resource_kind, resource_id, 'ACTIVE', ${call.subject.principalId}
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS t (consent_id text, grantor_account text, grantee_account text, actions text[], resource_kind text, resource_id text)
    RETURNING ${COLUMNS}`.execute(call.tx);
  const byId = new Map(made.rows.map((row) => [row.consentId, row]));
  return rows.map((row) => {
    const consent = byId.get(row.consent_id);
    if (consent === undefined) throw new Error("an insert returned nothing");
    return consent;
  });
}

/** Take consents back. What was allowed by them ends with this transaction's commit; ids of revoked ones are passed over. */
export async function revokeConsents(tx: Tx, consentIds: readonly string[]): Promise<void> {
  if (consentIds.length === 0) return;
  await sql`
    UPDATE consent SET state = 'REVOKED', revoke_time = now(), version = version + 1
    WHERE consent_id = ANY(${[...consentIds]}::text[]) AND state = 'ACTIVE'`.execute(tx);
}

/** All consents on resources that are being deleted. */
export async function revokeConsentsOf(tx: Tx, resourceIds: readonly string[]): Promise<void> {
  if (resourceIds.length === 0) return;
  await sql`
    UPDATE consent SET state = 'REVOKED', revoke_time = now(), version = version + 1
    WHERE resource_id = ANY(${[...resourceIds]}::text[]) AND state = 'ACTIVE'`.execute(tx);
}

/**
 * Make one list of a resource exactly these accounts: who stays keeps its consent id. The resource's row must be locked, and the
 * grantees must exist. Answers the consents in the order of the accounts.
 */
export async function setGrantees(call: WriteCall, resource: ResourceRef, action: string, accounts: readonly string[]): Promise<Consent[]> {
  const all = (await consentsOf(call.tx, [resource.id])).get(resource.id) ?? [];
  const active = all.filter((consent) => consent.actions.length === 1 && consent.actions[0] === action);
  const plan = planConsents(active, accounts);
  await revokeConsents(
    call.tx,
    plan.revoke.map((consent) => consent.consentId),
  );
  const added = await createConsents(
    call,
    plan.add.map((granteeAccount) => ({ granteeAccount, actions: [action], resource })),
  );
  const byAccount = new Map([...active, ...added].map((consent) => [consent.granteeAccount, consent]));
  return [...new Set(accounts)].flatMap((account) => byAccount.get(account) ?? []);
}
