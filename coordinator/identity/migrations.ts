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
  "0112_audit_issued": sqlMigration(`
    -- Whose tokens issued whom another one: what RevokeTokens.with_issued goes along, in an audit of any size.
    CREATE INDEX audit_entry_issued ON audit_entry (account_id, principal_id, time) INCLUDE (resource_account, resource_id)
      WHERE action = 'identity:IssueToken' AND allowed AND resource_kind = 'principal';
    `),
  "0121_count_part": sqlMigration(`
    -- Count in one of the parts (0083), held until the transaction's end; answers what is used of the quota then, and its bound (of what is
    -- taken away, nothing). Others may be
    -- adding up to most to each other part, unseen: where that might be too much, all parts are held, in their order. Nobody comes to that
    -- with a part in hand, so that no two wait for each other: a part that turned out to be too near the bound is let go first. Each
    -- statement of a volatile function sees what was committed until it begins, also while the lock before it was waited for.
    CREATE FUNCTION count_part(of_account text, of_quota text, own_part int, amount bigint, parts int, most bigint,
                               OUT used bigint, OUT maximum bigint) LANGUAGE plpgsql AS $$
    DECLARE
      unseen CONSTANT bigint := (parts - 1) * most;
    BEGIN
      IF amount > 0 THEN SELECT room.used, room.maximum INTO used, maximum FROM part_room(of_account, of_quota) AS room; END IF;
      IF amount <= 0 OR amount <= most AND used + amount + unseen <= maximum THEN
        BEGIN
          INSERT INTO account_use_part AS own (account_id, quota, part, used) VALUES (of_account, of_quota, own_part, amount)
            ON CONFLICT (account_id, quota, part) DO UPDATE SET used = own.used + excluded.used;
          IF amount <= 0 THEN RETURN; END IF;
          SELECT room.used, room.maximum INTO used, maximum FROM part_room(of_account, of_quota) AS room;
          IF used + unseen <= maximum THEN RETURN; END IF;
          RAISE EXCEPTION USING ERRCODE = 'PL121', MESSAGE = 'too near the bound for one part';
        EXCEPTION WHEN SQLSTATE 'PL121' THEN
          NULL; -- what the block did is undone, its lock too
        END;
      END IF;
      INSERT INTO account_use_part AS own (account_id, quota, part, used)
        SELECT of_account, of_quota, one, CASE WHEN one = own_part THEN amount ELSE 0 END FROM generate_series(0, parts - 1) AS one ORDER BY one
        ON CONFLICT (account_id, quota, part) DO UPDATE SET used = own.used + excluded.used;
      SELECT room.used, room.maximum INTO used, maximum FROM part_room(of_account, of_quota) AS room;
    END $$;

    -- What of a quota that is counted in parts an account uses, and its bound; NULL: there is no such quota.
    CREATE FUNCTION part_room(of_account text, of_quota text, OUT used bigint, OUT maximum bigint) LANGUAGE sql AS $$
      SELECT (coalesce((SELECT u.used FROM account_use u WHERE u.account_id = of_account AND u.quota = of_quota), 0)
              + coalesce((SELECT sum(p.used) FROM account_use_part p WHERE p.account_id = of_account AND p.quota = of_quota), 0))::bigint,
             coalesce((SELECT q.maximum FROM account_quota q WHERE q.account_id = of_account AND q.quota = of_quota),
                      (SELECT d.maximum FROM quota_default d WHERE d.quota = of_quota))
    $$;
  `),
};
