import { actsBy, inOwnRight } from "../call/api.ts";
import type { ResourceRef, Subject, WriteCall } from "../call/api.ts";
import { grantsOf, listedConsents, sameTimes } from "../consent/api.ts";
import type { ListedConsent, Wanted } from "../consent/api.ts";
import { ACCESS_ACTIONS, ACCESS_LISTS } from "./in/spec.ts";
import type { Access } from "./in/spec.ts";

/** When a caller may do something on a resource no longer, of all consents by which it may now; undefined: they have no end, or there are none. */
function endOfRight(
  subject: Subject,
  action: string,
  consents: readonly ListedConsent[],
): { readonly until: Date; readonly consentId: string } | undefined {
  const used = consents.filter(
    (consent) => consent.inForce && grantsOf([consent]).some((grant) => grant.action === action && actsBy(subject, grant)),
  );
  const ends = used.flatMap(({ validUntil, consentId }) => (validUntil === null ? [] : [{ until: validUntil, consentId }]));
  if (ends.length < used.length) return undefined;
  return ends.toSorted((a, b) => b.until.getTime() - a.until.getTime())[0];
}

/** Those of a list's entries that are new, or on other times than before, and last beyond a time. */
function outlasting(wanted: readonly Wanted[], action: string, consents: readonly ListedConsent[], until: Date): readonly Wanted[] {
  const standing = consents.filter((consent) => consent.actions.includes(action));
  return wanted.filter((one) => {
    const before = standing.find(
      ({ granteeAccount, granteePrincipal }) => granteeAccount === one.accountId && granteePrincipal === one.principalId,
    );
    if (before !== undefined && sameTimes(before, one)) return false;
    return one.validUntil === null || one.validUntil > until;
  });
}

/**
 * Whoever writes lists by an entry for a time gives nothing for longer: else it would keep for ever what it was given for a while. The
 * record is locked. PERMISSION_DENIED.
 */
export async function requireTerms(call: WriteCall, ref: ResourceRef, access: Access): Promise<void> {
  if (inOwnRight(call.subject, ref)) return;
  const consents = (await listedConsents(call.tx, [ref.id])).get(ref.id) ?? [];
  const end = endOfRight(call.subject, ACCESS_ACTIONS.modifiers, consents);
  if (end === undefined) return;
  const outlasts = ACCESS_LISTS.some((list) => outlasting(access[list], ACCESS_ACTIONS[list], consents, end.until).length > 0);
  if (!outlasts) return;
  const rule = `your own entry ends at ${end.until.toISOString()}: give no other one for longer`;
  call.forbid(ACCESS_ACTIONS.modifiers, ref, rule, end.consentId);
}
