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
  "0061_account_quota": sqlMigration(`
    -- What an account may have unless it has a limit of its own; written at the start from the configuration.
    CREATE TABLE quota_default (quota text PRIMARY KEY, maximum bigint NOT NULL);
    INSERT INTO quota_default (quota, maximum) VALUES
      ('interfaces', 100000), ('security-groups-per-vpc', 500), ('subnets-per-vpc', 200), ('vpcs', 100), ('vpcs-per-day', 1000);
    CREATE TABLE account_quota (
      account_id text NOT NULL REFERENCES account,
      quota      text NOT NULL,
      maximum    bigint NOT NULL CHECK (maximum >= 0),
      PRIMARY KEY (account_id, quota)
    );
    -- How much of a quota is used, where rows are too many to be counted, or gone. Written by whoever makes or deletes what is counted.
    CREATE TABLE account_use (
      account_id text NOT NULL,
      quota      text NOT NULL,
      used       bigint NOT NULL CHECK (used >= 0),
      day        date NOT NULL, -- of its last change; for what is counted by the day
      PRIMARY KEY (account_id, quota)
    ) WITH (fillfactor = 50);
  `),
  "0063_principal_member": sqlMigration(`
    ALTER TABLE principal DROP CONSTRAINT principal_role_check;
    ALTER TABLE principal ADD CONSTRAINT principal_role CHECK (role IN ('operator', 'owner', 'member', 'viewer'));
  `),
  "0083_account_use_part": sqlMigration(`
    -- What of a count many transactions of one account raise at once: each in one of its parts, by chance. A part alone may be below 0.
    CREATE TABLE account_use_part (
      account_id text NOT NULL,
      quota      text NOT NULL,
      part       smallint NOT NULL,
      used       bigint NOT NULL,
      PRIMARY KEY (account_id, quota, part)
    ) WITH (fillfactor = 50);
  `),
  "0102_group_sets_quota": sqlMigration(`
    INSERT INTO quota_default (quota, maximum) VALUES ('group-sets-per-vpc', 1000) ON CONFLICT DO NOTHING;
  `),
};
