import { sql } from "kysely";
import { newId } from "#lib/ids/ids.ts";
import { tellWatchers } from "../../call/api.ts";
import type { ResourceRef, WriteCall } from "../../call/api.ts";
import { granteeKey, planConsents, sameTimes, wantedKey } from "../core/consent.ts";
import type { Consent, ConsentPlan, ConsentState, Wanted } from "../core/consent.ts";
import { COLUMNS, givenBy, lockConsents, standingConsents } from "./consents.ts";
import { closeGates } from "./gate.ts";
import { changeLimit, limitsOf, setLimits } from "./limits.ts";

export interface NewConsent {
  readonly granteeAccount: string;
  /** Only this principal of it; absent: the account. */
  readonly granteePrincipal?: string | undefined;
  readonly actions: readonly string[];
  readonly resource: ResourceRef;
  /** It allows from then on (included); absent: from its beginning. */
  readonly validFrom?: Date | undefined;
  /** It allows until then (excluded); absent: until it is revoked. */
  readonly validUntil?: Date | undefined;
  /** How often what is counted under a name may be done by it; what is not named is not limited. */
  readonly limits?: Readonly<Record<string, number>> | undefined;
}

/** Both parties see another thing than before: the grantee more or less, the grantor its list. */
const told = (call: WriteCall, consents: readonly Pick<Consent, "grantorAccount" | "granteeAccount" | "resourceId">[]): void =>
  tellWatchers(
    call,
    consents.flatMap(({ grantorAccount, granteeAccount, resourceId }) =>
      [grantorAccount, granteeAccount].map((accountId) => ({ accountId, resourceId })),
    ),
  );

/**
 * Give consents, in the name of each resource's owner, in one statement; answers them in the same order. The caller has checked that
 * the grantees exist. An account, or a principal, may hold one consent that is not revoked for the same actions on one resource: a second one is the
 * database's unique violation.
 */
export async function createConsents(call: WriteCall, wanted: readonly NewConsent[]): Promise<Consent[]> {
  if (wanted.length === 0) return [];
  const rows = wanted.map((one) => ({
    consent_id: newId("cons"),
    grantor_account: one.resource.ownerAccount,
    grantee_account: one.granteeAccount,
    grantee_principal: one.granteePrincipal ?? "",
    actions: [...one.actions].sort(),
    resource_kind: one.resource.kind,
    resource_id: one.resource.id,
    valid_from: one.validFrom ?? null,
    valid_until: one.validUntil ?? null,
  }));
  const made = await sql<Consent>`
    INSERT INTO consent (consent_id, grantor_account, grantee_account, grantee_principal, actions, resource_kind, resource_id, valid_from,
                         valid_until, state, created_by)
    SELECT consent_id, grantor_account, grantee_account, grantee_principal, actions, resource_kind, resource_id, valid_from, valid_until,
           'ACTIVE', ${call.subject.principalId}
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS t (consent_id text, grantor_account text, grantee_account text, grantee_principal text, actions text[],
            resource_kind text, resource_id text, valid_from timestamptz, valid_until timestamptz)
    RETURNING ${COLUMNS}`.execute(call.tx);
  told(call, made.rows);
  await setLimits(
    call.tx,
    wanted.flatMap(({ limits = {} }, index) =>
      Object.entries(limits).map(([counter, maximum]) => ({ consentId: rows[index]?.consent_id ?? "", counter, maximum })),
    ),
  );
  const byId = new Map(made.rows.map((row) => [row.consentId, row]));
  return rows.map((row) => {
    const consent = byId.get(row.consent_id);
    if (consent === undefined) throw new Error("an insert returned nothing");
    return consent;
  });
}

/**
 * Lock consents that are to be changed. What allows this very call goes on doing so until its commit: whoever was given something may
 * give it up with the call that rests on it.
 */
async function take(call: WriteCall, consents: readonly Pick<Consent, "consentId" | "resourceId">[]): Promise<void> {
  const locked = await lockConsents(
    call.tx,
    consents.map((consent) => consent.resourceId),
    consents.map((consent) => consent.consentId),
  );
  call.holds(locked.flatMap((consent) => (consent.inForce ? [consent.consentId] : [])));
}

/** An account that gave them is suspended, or resumed: its grantees see other things than before. */
export async function grantorStandingChanged(call: WriteCall, accountId: string): Promise<void> {
  const given = await givenBy(call.tx, accountId);
  tellWatchers(
    call,
    given.map(({ granteeAccount, resourceId }) => ({ accountId: granteeAccount, resourceId })),
  );
}

/** Take consents back. What was allowed by them ends with this transaction's commit; revoked ones are passed over. */
export async function revokeConsents(call: WriteCall, consents: readonly Pick<Consent, "consentId" | "resourceId">[]): Promise<void> {
  if (consents.length === 0) return;
  await take(call, consents);
  const consentIds = consents.map((consent) => consent.consentId);
  const { rows } = await sql<Consent>`
    UPDATE consent SET state = 'REVOKED', revoke_time = now(), version = version + 1
    WHERE consent_id = ANY(${[...consentIds]}::text[]) AND state <> 'REVOKED' RETURNING ${COLUMNS}`.execute(call.tx);
  told(call, rows);
}

/** All consents on resources that are being deleted. */
export async function revokeConsentsOf(call: WriteCall, resourceIds: readonly string[]): Promise<void> {
  if (resourceIds.length === 0) return;
  await closeGates(call.tx, resourceIds);
  const { rows } = await sql<Consent>`
    UPDATE consent SET state = 'REVOKED', revoke_time = now(), version = version + 1
    WHERE resource_id = ANY(${[...resourceIds]}::text[]) AND state <> 'REVOKED' RETURNING ${COLUMNS}`.execute(call.tx);
  told(call, rows);
}

/** Bring one consent, whose row is locked, into a state; answers it as it is then. */
export async function setConsentState(call: WriteCall, consentId: string, state: ConsentState): Promise<Consent> {
  const revoked = state === "REVOKED" ? sql`now()` : sql`revoke_time`;
  const { rows } = await sql<Consent>`
    UPDATE consent SET state = ${state}, version = version + 1, revoke_time = ${revoked}
    WHERE consent_id = ${consentId} RETURNING ${COLUMNS}`.execute(call.tx);
  told(call, rows);
  const [consent] = rows;
  if (consent === undefined) throw new Error("a locked consent is missing");
  return consent;
}

/** Bring what stays to the terms that are wanted now; answers the consents as they are then. */
async function changeTerms(call: WriteCall, kept: ConsentPlan["keep"], counter: string | undefined): Promise<Consent[]> {
  const { tx } = call;
  const limits = await limitsOf(
    tx,
    kept.map(({ consent }) => consent.consentId),
  );
  const after: Consent[] = [];
  for (const { consent, wanted } of kept) {
    const { consentId } = consent;
    const maximum = limits.get(consentId)?.find((limit) => limit.counter === counter)?.maximum;
    const sameLimit = counter === undefined || maximum === (wanted.maximum === null ? undefined : BigInt(wanted.maximum));
    if (!sameLimit) await changeLimit(tx, consentId, counter, wanted.maximum);
    if (sameLimit && sameTimes(consent, wanted)) {
      after.push(consent);
      continue;
    }
    await take(call, [consent]);
    const { rows } = await sql<Consent>`
      UPDATE consent SET valid_from = ${wanted.validFrom}, valid_until = ${wanted.validUntil}, version = version + 1
      WHERE consent_id = ${consentId} RETURNING ${COLUMNS}`.execute(tx);
    told(call, rows);
    after.push(...rows);
  }
  return after;
}

/**
 * Make one list of a resource exactly this: who stays keeps its consent id, and what was counted by it. `counter`: what `maximum` bounds.
 * The resource's row must be locked, and the accounts must exist. Answers the consents in the order asked for.
 */
export async function setGrantees(
  call: WriteCall,
  resource: ResourceRef,
  list: { readonly action: string; readonly counter?: string | undefined },
  wanted: readonly Wanted[],
): Promise<Consent[]> {
  const plan = planConsents(await standingConsents(call.tx, resource.id, [list.action]), wanted, call.now);
  await revokeConsents(call, plan.revoke);
  const kept = await changeTerms(call, plan.keep, list.counter);
  const added = await createConsents(
    call,
    plan.add.map((one) => newConsent(resource, list, one)),
  );
  const byGrantee = new Map([...kept, ...added].map((consent) => [granteeKey(consent), consent]));
  return [...new Set(wanted.map(wantedKey))].flatMap((key) => byGrantee.get(key) ?? []);
}

/** An entry of a list as a consent to be given. */
export function newConsent(
  resource: ResourceRef,
  { action, counter }: { readonly action: string; readonly counter?: string | undefined },
  { accountId, principalId, validFrom, validUntil, maximum }: Wanted,
): NewConsent {
  return {
    granteeAccount: accountId,
    granteePrincipal: principalId,
    actions: [action],
    resource,
    validFrom: validFrom ?? undefined,
    validUntil: validUntil ?? undefined,
    limits: counter === undefined || maximum === null ? undefined : { [counter]: maximum },
  };
}
