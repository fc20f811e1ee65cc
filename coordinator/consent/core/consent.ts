import type { ResourceGrant } from "../../call/api.ts";

/** ACTIVE allows while it is valid, SUSPENDED not until it is resumed, REVOKED never again. */
export type ConsentState = "ACTIVE" | "SUSPENDED" | "REVOKED";

/** How often something may be done by a consent. */
export interface ConsentLimit {
  /** What is counted ("attachments"). */
  readonly counter: string;
  readonly maximum: bigint;
  readonly used: bigint;
}

/** What one account allows another on one resource (C14). */
export interface Consent {
  /** `cons-…`. */
  readonly consentId: string;
  readonly grantorAccount: string;
  readonly granteeAccount: string;
  /** As in the protos ("nivc:AttachInterface"); sorted, at least one. */
  readonly actions: readonly string[];
  readonly resourceKind: string;
  readonly resourceId: string;
  readonly state: ConsentState;
  /** It allows from then on (included); null: from its beginning. */
  readonly validFrom: Date | null;
  /** It allows until then (excluded); null: until it is revoked. */
  readonly validUntil: Date | null;
  /** Grows with every change. */
  readonly version: bigint;
  readonly createTime: Date;
  readonly revokeTime: Date | null;
}

/** Whether a consent allows at a time. Must say the same as the SQL in `out/consents.ts`. */
export function inForce(consent: Pick<Consent, "state" | "validFrom" | "validUntil">, now: Date): boolean {
  const { state, validFrom, validUntil } = consent;
  return state === "ACTIVE" && (validFrom === null || validFrom <= now) && (validUntil === null || now < validUntil);
}

/** What is to be done so that exactly `wanted` accounts are allowed something. */
export interface ConsentPlan {
  /** Accounts that have no consent yet, in the order asked for. */
  readonly add: readonly string[];
  /** Consents whose accounts are not wanted any more, and those whose time is over. */
  readonly revoke: readonly Consent[];
  readonly keep: readonly Consent[];
}

/**
 * From the consents of one list that are not revoked to the wanted accounts: what stays keeps its consent, a suspended one stays
 * suspended, one whose time is over is made anew; repeats count once.
 */
export function planConsents(standing: readonly Consent[], wanted: readonly string[], now: Date): ConsentPlan {
  const want = new Set(wanted);
  const stays = (consent: Consent): boolean =>
    want.has(consent.granteeAccount) && (consent.validUntil === null || now < consent.validUntil);
  const keep = standing.filter(stays);
  const have = new Set(keep.map((consent) => consent.granteeAccount));
  return { add: [...want].filter((account) => !have.has(account)), revoke: standing.filter((consent) => !stays(consent)), keep };
}

/** Consents as the decision reads them. */
export function grantsOf(consents: readonly Consent[]): ResourceGrant[] {
  return consents.flatMap(({ consentId, granteeAccount: accountId, actions }) =>
    actions.map((action) => ({ accountId, action, consentId })),
  );
}
