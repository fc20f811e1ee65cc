import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";

/** VPCs, subnets, groups. Numbers that reach packets come from sequences: what was given out once is never given out again. */
export const networkMigrations: Migrations = {
  "0005_network": sqlMigration(`
    CREATE SEQUENCE network_id AS bigint START 1;
    -- 24 bits; the first 4096 stay free for networks that are not a customer's.
    CREATE SEQUENCE vni AS integer MINVALUE 4096 MAXVALUE 16777215 START 4096 NO CYCLE;
    CREATE SEQUENCE group_set_id AS bigint MAXVALUE 4294967295 START 1 NO CYCLE;
    CREATE SEQUENCE ruleset_id AS bigint MAXVALUE 4294967295 START 1 NO CYCLE;

    CREATE TABLE vpc (
      vpc_id                    text PRIMARY KEY,
      owner_account             text NOT NULL,
      payer_account             text NOT NULL,
      created_by                text NOT NULL,
      name                      text NOT NULL,
      cidr_block                cidr NOT NULL,
      network_id                bigint NOT NULL UNIQUE,
      vni                       integer NOT NULL UNIQUE,
      default_security_group_id text NOT NULL,
      tags                      jsonb NOT NULL,
      version                   bigint NOT NULL DEFAULT 1,
      create_time               timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX vpc_owner ON vpc (owner_account, vpc_id);

    CREATE TABLE subnet (
      subnet_id     text PRIMARY KEY,
      vpc_id        text NOT NULL REFERENCES vpc,
      owner_account text NOT NULL,
      payer_account text NOT NULL,
      created_by    text NOT NULL,
      name          text NOT NULL,
      cidr_block    cidr NOT NULL,
      zone_id       text NOT NULL,               -- empty: any zone
      version       bigint NOT NULL DEFAULT 1,
      create_time   timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX subnet_vpc ON subnet (vpc_id, subnet_id);
    CREATE INDEX subnet_owner ON subnet (owner_account, subnet_id);

    CREATE TABLE security_group (
      security_group_id text PRIMARY KEY,
      vpc_id            text NOT NULL REFERENCES vpc ON DELETE CASCADE,
      owner_account     text NOT NULL,
      payer_account     text NOT NULL,
      created_by        text NOT NULL,
      name              text NOT NULL,
      description       text NOT NULL,
      rules             jsonb NOT NULL,
      version           bigint NOT NULL DEFAULT 1,
      create_time       timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT security_group_name UNIQUE (vpc_id, name)
    );
    CREATE INDEX security_group_owner ON security_group (owner_account, security_group_id);

    CREATE TABLE ruleset (
      ruleset_id  bigint PRIMARY KEY,
      rules       bytea NOT NULL,                -- plenum.host.v1.RulesetItem with the rules only
      create_time timestamptz NOT NULL DEFAULT now()
    );

    CREATE TABLE group_set (
      group_set_id bigint PRIMARY KEY,
      vpc_id       text NOT NULL,
      members      text[] NOT NULL,              -- sorted, without repeats
      ruleset_id   bigint NOT NULL REFERENCES ruleset,
      CONSTRAINT group_set_members UNIQUE (vpc_id, members)
    );
    CREATE INDEX group_set_member ON group_set USING gin (members);
  `),
  "0062_vpc_use": sqlMigration(`
    INSERT INTO account_use (account_id, quota, used, day) SELECT owner_account, 'vpcs', count(*), now() FROM vpc GROUP BY owner_account;
  `),
  "0100_peer_groups": sqlMigration(`
    -- Groups that the rules name. NULL: made before they were named; the sets of then are in the rules.
    ALTER TABLE ruleset ADD COLUMN peer_groups text[];
    -- Since when no record and no attachment has the set, as far as somebody has looked; -infinity: none can have it any more.
    ALTER TABLE group_set ADD COLUMN idle_since timestamptz;
    CREATE INDEX group_set_idle ON group_set (vpc_id, group_set_id) WHERE idle_since IS NOT NULL;
  `),
};
