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
};
