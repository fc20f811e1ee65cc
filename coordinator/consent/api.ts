import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import type { Calls } from "../call/api.ts";
import { consentService } from "./in/consent-service.ts";

export { grantsOf, inForce, sameTimes } from "./core/consent.ts";
export type { Consent, ConsentLimit, ConsentState, Wanted } from "./core/consent.ts";
export { consentMigrations } from "./migrations.ts";
export {
  createConsents,
  grantorStandingChanged,
  newConsent,
  revokeConsents,
  revokeConsentsOf,
  setGrantees,
} from "./out/change-consents.ts";
export type { NewConsent } from "./out/change-consents.ts";
export { consentsOf, grantsFor, holdConsents, lapseOf, listedConsents, resourcesByTime, resourcesGrantedTo } from "./out/consents.ts";
export type { ListedConsent } from "./out/consents.ts";
export { countAgainst, limitsOf } from "./out/limits.ts";

/** ConsentService: for the API listener. */
export function createConsent(options: { calls: Calls; pages: PageTokens }): { readonly bindings: readonly ServiceBinding[] } {
  return { bindings: [consentService(options)] };
}
