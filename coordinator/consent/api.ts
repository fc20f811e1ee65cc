export { grantsOf } from "./core/consent.ts";
export type { Consent } from "./core/consent.ts";
export { consentMigrations } from "./migrations.ts";
export {
  consentsOf,
  createConsents,
  grantsFor,
  resourcesGrantedTo,
  revokeConsents,
  revokeConsentsOf,
  setGrantees,
} from "./out/consents.ts";
export type { NewConsent } from "./out/consents.ts";
