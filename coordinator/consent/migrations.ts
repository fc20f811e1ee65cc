import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";

/** What one account allows another (C14). A revoked consent stays, so that it can be told who had allowed what. */
export const consentMigrations: Migrations = {
  "0003_consent": sqlMigration(`
    CREATE TABLE consent (
      consent_id      text PRIMARY KEY,
      grantor_account text NOT NULL,
      grantee_account text NOT NULL,
      actions         text[] NOT NULL CHECK (cardinality(actions) > 0),
      resource_kind   text NOT NULL,
      resource_id     text NOT NULL,
      state           text NOT NULL CHECK (state IN ('ACTIVE', 'REVOKED')),
      version         bigint NOT NULL DEFAULT 1,
      created_by      text NOT NULL,
      create_time     timestamptz NOT NULL DEFAULT now(),
      revoke_time     timestamptz
    );
    CREATE UNIQUE INDEX consent_active ON consent (resource_id, grantee_account, actions) WHERE state = 'ACTIVE';
    CREATE INDEX consent_grantee ON consent (grantee_account, resource_kind, resource_id) WHERE state = 'ACTIVE';
  `),
  "0021_consent_terms": sqlMigration(`
    ALTER TABLE consent DROP CONSTRAINT consent_state_check;
    ALTER TABLE consent
      ADD CONSTRAINT consent_state CHECK (state IN ('ACTIVE', 'SUSPENDED', 'REVOKED')),
      ADD COLUMN valid_from timestamptz,
      ADD COLUMN valid_until timestamptz,
      ADD CONSTRAINT consent_validity CHECK (valid_from < valid_until);
    DROP INDEX consent_active;
    CREATE UNIQUE INDEX consent_standing ON consent (resource_id, grantee_account, actions) WHERE state <> 'REVOKED';
    CREATE INDEX consent_party_grantor ON consent (grantor_account, consent_id);
    CREATE INDEX consent_party_grantee ON consent (grantee_account, consent_id);

    -- How often something may be done by a consent. Counted in the transaction that does it (C15).
    CREATE TABLE consent_limit (
      consent_id text NOT NULL REFERENCES consent,
      counter    text NOT NULL,
      maximum    bigint NOT NULL CHECK (maximum >= 0),
      used       bigint NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND maximum),
      PRIMARY KEY (consent_id, counter)
    );
  `),
  "0038_consent_times": sqlMigration(`
    -- Consents that began or ended in a span of time.
    CREATE INDEX consent_valid_from ON consent (valid_from) WHERE valid_from IS NOT NULL;
    CREATE INDEX consent_valid_until ON consent (valid_until) WHERE valid_until IS NOT NULL;
  `),
  "0063_consent_principal": sqlMigration(`
    ALTER TABLE consent ADD COLUMN grantee_principal text NOT NULL DEFAULT ''; -- '': the whole account
    DROP INDEX consent_standing, consent_grantee;
    CREATE UNIQUE INDEX consent_standing ON consent (resource_id, grantee_account, grantee_principal, actions) WHERE state <> 'REVOKED';
    CREATE INDEX consent_grantee ON consent (grantee_account, resource_kind, grantee_principal, resource_id) WHERE state = 'ACTIVE';
    -- A limit may be set below what was used: it allows no more then.
    ALTER TABLE consent_limit DROP CONSTRAINT consent_limit_check, ADD CONSTRAINT consent_limit_used CHECK (used >= 0);
  `),
  "0120_consent_limit_goes": sqlMigration(`
    -- What bounds a consent goes with it: else one that was taken back could never be forgotten.
    ALTER TABLE consent_limit DROP CONSTRAINT consent_limit_consent_id_fkey,
      ADD CONSTRAINT consent_limit_consent FOREIGN KEY (consent_id) REFERENCES consent ON DELETE CASCADE;
  `),
  "0123_consent_resource": sqlMigration(`
    CREATE INDEX consent_resource ON consent (resource_id, consent_id); -- those that were taken back, too
  `),
};
