import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";

/** Accounts and long work. The audit's and the idempotency's tables are the call's. */
export const identityMigrations: Migrations = {
  "0002_identity": sqlMigration(`
    CREATE TABLE account (
      account_id  text PRIMARY KEY,
      name        text NOT NULL CONSTRAINT account_name UNIQUE,
      description text NOT NULL,
      created_by  text NOT NULL,
      create_time timestamptz NOT NULL DEFAULT now()
    );

    CREATE TABLE operation (
      operation_id  text PRIMARY KEY,
      kind          text NOT NULL,
      subject_id    text NOT NULL,
      owner_account text NOT NULL,
      state         text NOT NULL CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED')),
      message       text NOT NULL DEFAULT '',
      create_time   timestamptz NOT NULL DEFAULT now(),
      end_time      timestamptz
    );
    CREATE INDEX operation_owner ON operation (owner_account, operation_id);
    CREATE INDEX operation_subject ON operation (subject_id, operation_id);
    CREATE INDEX operation_running ON operation (subject_id) WHERE state = 'RUNNING';
  `),
  "0020_principal": sqlMigration(`
    -- Who speaks for an account; account_id '' holds the operators.
    CREATE TABLE principal (
      account_id   text NOT NULL,
      principal_id text NOT NULL,
      role         text NOT NULL CHECK (role IN ('operator', 'owner', 'viewer')),
      description  text NOT NULL DEFAULT '',
      created_by   text NOT NULL,
      create_time  timestamptz NOT NULL DEFAULT now(),
      disable_time timestamptz,
      PRIMARY KEY (account_id, principal_id),
      CHECK ((role = 'operator') = (account_id = ''))
    );
  `),
  "0046_revocation": sqlMigration(`
    -- Tokens that were issued before are worth nothing; NULL: none was ever revoked.
    ALTER TABLE principal ADD COLUMN tokens_not_before timestamptz;
    -- Since when calls of the account's principals are refused; NULL: they are not.
    ALTER TABLE account ADD COLUMN suspend_time timestamptz;
  `),
};
