import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";
import { feedMarks, feedMigration } from "#lib/feed/feed.ts";

/** The coordinator's schema, and its role (C17). */
export const SCHEMA = "coordinator";

/** Tables of the call itself: the change log (C1), idempotency keys (C10) and the audit (B8). */
export const callMigrations: Migrations = {
  "0000_feed": feedMigration(SCHEMA),
  "0001_call": sqlMigration(`
    -- Keys that every copy of the coordinator must share.
    CREATE TABLE secret (name text PRIMARY KEY, value bytea NOT NULL);

    CREATE TABLE idempotency (
      account_id   text NOT NULL,
      principal_id text NOT NULL,
      method       text NOT NULL,
      request_id   text NOT NULL,
      request_hash bytea NOT NULL,
      response     bytea,                        -- NULL only inside the transaction that makes the row
      allowed      jsonb NOT NULL DEFAULT '[]',  -- what was decided, to be decided again for a repeat
      create_time  timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (account_id, principal_id, method, request_id)
    );
    CREATE INDEX idempotency_create_time ON idempotency (create_time);

    CREATE TABLE audit_entry (
      entry_id         text PRIMARY KEY,         -- audit-<UUIDv7>: in order of time
      time             timestamptz NOT NULL DEFAULT now(),
      principal_id     text NOT NULL,
      account_id       text NOT NULL,
      action           text NOT NULL,
      resource_kind    text NOT NULL,
      resource_id      text NOT NULL,
      resource_account text NOT NULL,
      allowed          boolean NOT NULL,
      hidden           boolean NOT NULL,         -- refused so that the caller must not learn that the resource exists
      reason           text NOT NULL
    );
    CREATE INDEX audit_entry_account ON audit_entry (account_id, entry_id);
    CREATE INDEX audit_entry_resource_account ON audit_entry (resource_account, entry_id);
    CREATE INDEX audit_entry_resource ON audit_entry (resource_id, entry_id);
  `),
  "0022_audit_behalf": sqlMigration(`
    ALTER TABLE audit_entry
      ADD COLUMN on_behalf_of  text NOT NULL DEFAULT '',
      ADD COLUMN delegation_id text NOT NULL DEFAULT '';
    CREATE INDEX audit_entry_principal ON audit_entry (principal_id, entry_id);
  `),
  // Marks of versions, by which a resume token is known to be of this database.
  "0035_feed_marks": feedMarks(SCHEMA),
  "0048_audit_origin": sqlMigration(`
    ALTER TABLE audit_entry
      ADD COLUMN peer       text NOT NULL DEFAULT '',    -- from where the call came, as the server saw it
      ADD COLUMN request_id text NOT NULL DEFAULT '',    -- the caller's
      ADD COLUMN details    jsonb NOT NULL DEFAULT '{}', -- of the request, what changes what it does
      ADD COLUMN count      bigint NOT NULL DEFAULT 1;   -- refusals that this one stands for
    CREATE INDEX audit_entry_action ON audit_entry (action, entry_id);
  `),
  "0085_audit_via": sqlMigration(`
    ALTER TABLE audit_entry
      ADD COLUMN via_instance text NOT NULL DEFAULT '',  -- the instance that acted as the principal
      ADD COLUMN via_host     text NOT NULL DEFAULT '';  -- the host that vouched for it
  `),
};
