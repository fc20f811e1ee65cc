import type { ResourceGrant } from "../../call/api.ts";

/** What one account allows another on one resource. */
export interface Consent {
  /** `cons-…`. */
  readonly consentId: string;
  readonly grantorAccount: string;
  readonly granteeAccount: string;
  /** As in the protos ("nivc:AttachInterface"); sorted, at least one. */
  readonly actions: readonly string[];
  readonly resourceKind: string;
  readonly resourceId: string;
  readonly createTime: Date;
}

/** What is to be done so that exactly `wanted` accounts are allowed something. */
export interface ConsentPlan {
  /** Accounts that have no consent yet, in the order asked for. */
  readonly add: readonly string[];
  /** Consents whose accounts are not wanted any more. */
  readonly revoke: readonly Consent[];
}

/** From the active consents for one list to the wanted accounts: what stays keeps its consent, repeats count once. */
export function planConsents(active: readonly Consent[], wanted: readonly string[]): ConsentPlan {
  const have = new Set(active.map((consent) => consent.granteeAccount));
  const want = new Set(wanted);
  return { add: [...want].filter((account) => !have.has(account)), revoke: active.filter((consent) => !want.has(consent.granteeAccount)) };
}

/** Consents as the decision reads them. */
export function grantsOf(consents: readonly Consent[]): ResourceGrant[] {
  return consents.flatMap((consent) => consent.actions.map((action) => ({ accountId: consent.granteeAccount, action })));
}
