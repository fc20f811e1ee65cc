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

/** What one account allows another, or one of its principals, on one resource (C14). */
export interface Consent {
  /** `cons-…`. */
  readonly consentId: string;
  readonly grantorAccount: string;
  readonly granteeAccount: string;
  /** Only this principal of the grantee; empty: the account. */
  readonly granteePrincipal: string;
  /** As in the protos ("nivc:AttachInterface"); sorted, at least one. */
  readonly actions: readonly string[];
  readonly resourceKind: string;
  readonly resourceId: string;
  readonly state: ConsentState;
  /** Its grantor's account is: what that gave lets nobody do anything meanwhile. */
  readonly grantorSuspended: boolean;
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
export function inForce(consent: Pick<Consent, "state" | "grantorSuspended" | "validFrom" | "validUntil">, now: Date): boolean {
  const { state, grantorSuspended, validFrom, validUntil } = consent;
  return state === "ACTIVE" && !grantorSuspended && (validFrom === null || validFrom <= now) && (validUntil === null || now < validUntil);
}

/** Why a consent that was not revoked does not allow at a time; undefined: it does. */
export function lapse(
  consent: Pick<Consent, "consentId" | "grantorAccount" | "state" | "grantorSuspended" | "validFrom" | "validUntil">,
  now: Date,
): string | undefined {
  const { consentId, grantorAccount, state, grantorSuspended, validFrom, validUntil } = consent;
  if (inForce(consent, now)) return undefined;
  if (state !== "ACTIVE") return `${consentId} is ${state.toLowerCase()}: ask its grantor`;
  if (grantorSuspended) return `${consentId} allows nothing while ${grantorAccount}, which gave it, is suspended: an operator resumes it`;
  if (validFrom !== null && now < validFrom) return `${consentId} begins at ${validFrom.toISOString()}: wait until then`;
  return `${consentId} ended at ${validUntil?.toISOString() ?? "?"}: ask its grantor for more time`; // uncovered: else it has no end; only the type cannot say so
}

/** Who is to be allowed something, and for how long. */
export interface Wanted {
  readonly accountId: string;
  /** Empty: the account. */
  readonly principalId: string;
  /** As a consent's. */
  readonly validFrom: Date | null;
  /** As a consent's. */
  readonly validUntil: Date | null;
  /** How often what its action counts may be done; null: any number. */
  readonly maximum: number | null;
}

/** Whether a consent's times are those wanted. */
export function sameTimes(consent: Consent, { validFrom, validUntil }: Wanted): boolean {
  return consent.validFrom?.getTime() === validFrom?.getTime() && consent.validUntil?.getTime() === validUntil?.getTime();
}

/** What is to be done so that exactly what is wanted is allowed. */
export interface ConsentPlan {
  /** Who has no consent yet, in the order asked for. */
  readonly add: readonly Wanted[];
  /** Consents that are not wanted any more, and those whose time is over. */
  readonly revoke: readonly Consent[];
  /** What stays, and what is wanted of it. */
  readonly keep: readonly { readonly consent: Consent; readonly wanted: Wanted }[];
}

/** Tells a grantee from others: an account, or a principal of it. */
export const wantedKey = (one: Pick<Wanted, "accountId" | "principalId">): string => `${one.accountId} ${one.principalId}`;

/** The same of a consent's grantee. */
export const granteeKey = (consent: Consent): string =>
  wantedKey({ accountId: consent.granteeAccount, principalId: consent.granteePrincipal });

/**
 * From the consents of one list that are not revoked to what is wanted: what stays keeps its consent, a suspended one stays suspended,
 * one whose time is over is made anew; repeats count once.
 */
export function planConsents(standing: readonly Consent[], wanted: readonly Wanted[], now: Date): ConsentPlan {
  const want = new Map(wanted.map((one) => [wantedKey(one), one]));
  const runs = standing.filter((consent) => consent.validUntil === null || now < consent.validUntil);
  const keep = runs.flatMap((consent) => {
    const one = want.get(granteeKey(consent));
    return one === undefined ? [] : [{ consent, wanted: one }];
  });
  const kept = new Set(keep.map(({ consent }) => consent));
  const have = new Set(keep.map(({ consent }) => granteeKey(consent)));
  return {
    add: [...want].flatMap(([key, one]) => (have.has(key) ? [] : [one])),
    revoke: standing.filter((consent) => !kept.has(consent)),
    keep,
  };
}

/** Consents as the decision reads them. */
export function grantsOf(consents: readonly Consent[]): ResourceGrant[] {
  return consents.flatMap(({ consentId, granteeAccount: accountId, granteePrincipal, actions }) =>
    actions.map((action) => ({
      accountId,
      action,
      consentId,
      ...(granteePrincipal === "" ? {} : { principalId: granteePrincipal }),
    })),
  );
}
