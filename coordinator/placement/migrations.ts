import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";

/** Tables of hosts, how they join, and the instances placed on them. Numbers of enums are those of the protos. */
export const placementMigrations: Migrations = {
  "0007_placement": sqlMigration(`
    CREATE TABLE host (
      host_id           text PRIMARY KEY,
      name              text NOT NULL CONSTRAINT host_name UNIQUE,
      zone_id           text NOT NULL,
      substrate_address inet NOT NULL CONSTRAINT host_substrate_address UNIQUE,
      key_fingerprint   text NOT NULL CONSTRAINT host_key UNIQUE,  -- SHA-256 of the public key it joined with
      session_epoch     bigint NOT NULL DEFAULT 0,
      connected         boolean NOT NULL DEFAULT false,            -- a session of session_epoch is open; counts only while last_seen is young
      last_seen         timestamptz,
      applied_version   bigint NOT NULL DEFAULT 0,                 -- of its scope, in this session
      agent_version     text NOT NULL DEFAULT '',
      kernel_release    text NOT NULL DEFAULT '',
      substrate_mtu     int NOT NULL DEFAULT 0,
      create_time       timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX host_zone ON host (zone_id, host_id);

    -- What a host has applied of each network in its present session.
    CREATE TABLE host_network_version (
      network_id bigint NOT NULL,
      host_id    text NOT NULL REFERENCES host ON DELETE CASCADE,
      version    bigint NOT NULL,
      PRIMARY KEY (network_id, host_id)
    ) WITH (fillfactor = 70);
    CREATE INDEX host_network_version_host ON host_network_version (host_id);

    CREATE TABLE host_drop (
      host_id text NOT NULL REFERENCES host ON DELETE CASCADE,
      reason  text NOT NULL,
      packets bigint NOT NULL,
      PRIMARY KEY (host_id, reason)
    );

    -- The token itself is nowhere: only who has it can show it.
    CREATE TABLE join_token (
      token_hash      bytea PRIMARY KEY,
      zone_id         text NOT NULL,
      expire_time     timestamptz NOT NULL,
      created_by      text NOT NULL,
      create_time     timestamptz NOT NULL DEFAULT now(),
      host_id         text,              -- whom it made; NULL: not used yet
      key_fingerprint text               -- with which key: the same key may use it again (C8)
    );

    CREATE TABLE instance (
      instance_id        text PRIMARY KEY,
      owner_account      text NOT NULL,
      created_by         text NOT NULL,
      name               text NOT NULL,
      driver             smallint NOT NULL,
      argv               text[] NOT NULL,
      env                jsonb NOT NULL,
      tags               jsonb NOT NULL,
      zone_id            text NOT NULL,          -- '' any
      fixed_host_id      text,                   -- the operator wanted exactly this one
      host_id            text REFERENCES host,   -- where it is, or must still go away from
      state              smallint NOT NULL,
      generation         bigint NOT NULL DEFAULT 1,
      row_version        bigint NOT NULL DEFAULT 1,
      operation_id       text NOT NULL,          -- the newest
      applied_generation bigint NOT NULL DEFAULT 0,
      applied_state      smallint NOT NULL DEFAULT 0,
      applied_message    text NOT NULL DEFAULT '',
      applied_time       timestamptz,
      netns_path         text NOT NULL DEFAULT '',
      process_running    boolean NOT NULL DEFAULT false,
      create_time        timestamptz NOT NULL DEFAULT now(),
      state_time         timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX instance_owner ON instance (owner_account, instance_id);
    CREATE INDEX instance_host ON instance (host_id) WHERE host_id IS NOT NULL;
    CREATE INDEX instance_over ON instance (state_time) WHERE state = 6;
  `),
  "0010_forced_instances": sqlMigration(`
    ALTER TABLE instance ADD COLUMN forced boolean NOT NULL DEFAULT false; -- it ends or stops without its host's word (C7)
    CREATE INDEX instance_forced ON instance (instance_id) WHERE forced;
  `),
  "0011_host_previous_key": sqlMigration(`
    -- The key before the newest: the host may have it still, if the answer to its renewal was lost.
    ALTER TABLE host ADD COLUMN previous_key_fingerprint text;
    CREATE INDEX host_previous_key ON host (previous_key_fingerprint);
  `),
  "0032_host_drop_epochs": sqlMigration(`
    -- As an attachment's: the sum over epochs is what was counted (C22).
    ALTER TABLE host_drop ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
    ALTER TABLE host_drop DROP CONSTRAINT host_drop_pkey, ADD PRIMARY KEY (host_id, reason, epoch);
    ALTER TABLE host_drop ALTER COLUMN epoch DROP DEFAULT;
  `),
  "0042_host_service": sqlMigration(`
    -- One row: whether hosts can be heard at all. A host that nobody could have heard is not silent (C7).
    CREATE TABLE host_service (
      one   boolean PRIMARY KEY DEFAULT true CHECK (one),
      lease interval NOT NULL,    -- how long a host's word counts
      since timestamptz NOT NULL, -- some copy of the coordinator has been there for hosts since then, without a break
      seen  timestamptz NOT NULL  -- when a copy last said that it is there
    ) WITH (fillfactor = 10);
    INSERT INTO host_service (lease, since, seen) VALUES ('15 seconds', now(), now());
  `),
  "0051_host_substrate": sqlMigration(`
    -- As its newest session said (D19). NULL: it said nothing of it.
    ALTER TABLE host ADD COLUMN device_ready boolean, ADD COLUMN tunnel_ready boolean,
                     ADD COLUMN substrate_message text NOT NULL DEFAULT '',
                     ADD COLUMN substrate_time timestamptz; -- when one of the two last changed
  `),
  "0064_host_room": sqlMigration(`
    ALTER TABLE host ADD COLUMN schedulable boolean NOT NULL DEFAULT true, -- may be given new instances
                     ADD COLUMN max_instances int, ADD COLUMN max_attachments int; -- as its newest session said; NULL: it said nothing
  `),
  "0081_take_versions": sqlMigration(`
    -- Take what sessions have applied of their hosts' feeds and of networks (the last three columns: host, network, version), and prolong
    -- their leases. Versions only rise within a session; those of networks in which the host has nothing are passed over. Answers the
    -- hosts whose session is still the newest; of others nothing is written.
    CREATE FUNCTION take_versions(host_ids text[], epochs bigint[], versions bigint[],
                                  network_hosts text[], network_ids bigint[], network_versions bigint[])
    RETURNS TABLE (of_host text) LANGUAGE plpgsql AS $$
    BEGIN
      RETURN QUERY WITH live AS (
        UPDATE host h SET last_seen = now(), applied_version = greatest(h.applied_version, s.version)
        FROM unnest(host_ids, epochs, versions) AS s (host_id, epoch, version)
        WHERE h.host_id = s.host_id AND h.session_epoch = s.epoch RETURNING h.host_id
      ), taken AS (
        INSERT INTO host_network_version AS own (network_id, host_id, version)
        SELECT n.network_id, n.host_id, n.version
        FROM unnest(network_ids, network_hosts, network_versions) AS n (network_id, host_id, version)
        JOIN live ON live.host_id = n.host_id
        WHERE EXISTS (SELECT FROM attachment a WHERE a.host_id = n.host_id AND a.network_id = n.network_id AND a.state <> 4)
        ORDER BY 1, 2
        ON CONFLICT (network_id, host_id) DO UPDATE SET version = excluded.version WHERE own.version < excluded.version
      )
      SELECT live.host_id FROM live;
    END $$;
  `),
  "0087_instance_acts_as": sqlMigration(`
    ALTER TABLE instance ADD COLUMN acts_as text NOT NULL DEFAULT '',             -- principal of the owner's account; '' nobody
                         ADD COLUMN vouched_generation bigint NOT NULL DEFAULT 0; -- the newest for which a token was issued

    -- Whether an instance may act as a principal still, by a token that was issued for it there and then. To hold it so until the
    -- transaction's end takes a lock of its own: the instance's row is its host's to report on, however much the instance calls. A
    -- statement of a function that is volatile sees what was committed until it begins, also while the lock before it was waited for.
    CREATE FUNCTION instance_acts(instance_id text, host_id text, generation bigint, account_id text, principal_id text, hold boolean)
    RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      IF hold THEN PERFORM pg_advisory_xact_lock_shared(87, hashtext($1)); END IF;
      RETURN EXISTS (SELECT FROM instance i WHERE i.instance_id = $1 AND i.host_id = $2 AND i.generation = $3 AND i.owner_account = $4
                     AND i.acts_as = $5 AND i.state IN (1, 2));
    END $$;
  `),
  "0098_host_bar": sqlMigration(`
    ALTER TABLE host ADD COLUMN bar_time timestamptz,                 -- since when nothing is taken from it (C8); NULL: it is
                     ADD COLUMN bar_reason text NOT NULL DEFAULT '';  -- the operator's words

    -- As before (0087), and only while its host is not barred: who bars it takes the second lock alone, and first.
    CREATE OR REPLACE FUNCTION instance_acts(instance_id text, host_id text, generation bigint, account_id text, principal_id text, hold boolean)
    RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      IF hold THEN
        PERFORM pg_advisory_xact_lock_shared(87, hashtext($1));
        PERFORM pg_advisory_xact_lock_shared(98, hashtext($2));
      END IF;
      RETURN EXISTS (SELECT FROM instance i JOIN host h ON h.host_id = i.host_id
                     WHERE i.instance_id = $1 AND i.host_id = $2 AND i.generation = $3 AND i.owner_account = $4
                     AND i.acts_as = $5 AND i.state IN (1, 2) AND h.bar_time IS NULL);
    END $$;
  `),
  "0110_host_held": sqlMigration(`
    -- Hosts that something is to be placed on, held unbarred until the transaction's end: who bars one waits for that, by the same lock taken
    -- alone, before it answers. Answers those that are barred by then: a statement of a volatile function sees what was committed until it begins.
    CREATE FUNCTION hold_unbarred(host_ids text[]) RETURNS text[] LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      one text;
    BEGIN
      FOR one IN SELECT DISTINCT id FROM unnest(host_ids) AS id WHERE id IS NOT NULL ORDER BY id LOOP
        PERFORM pg_advisory_xact_lock_shared(110, hashtext(one));
      END LOOP;
      RETURN ARRAY(SELECT h.host_id FROM host h WHERE h.host_id = ANY (host_ids) AND h.bar_time IS NOT NULL);
    END $$;
  `),
  "0111_vouch_not_before": sqlMigration(`
    -- Tokens of its instances that were issued before are worth nothing, though it is barred no more; NULL: it never was.
    ALTER TABLE host ADD COLUMN vouch_not_before timestamptz;

    -- As before (0098), and only for what was issued since its host was last unbarred.
    CREATE FUNCTION instance_acts(instance_id text, host_id text, generation bigint, account_id text, principal_id text, issued_at timestamptz,
                                  hold boolean)
    RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      IF hold THEN
        PERFORM pg_advisory_xact_lock_shared(87, hashtext($1));
        PERFORM pg_advisory_xact_lock_shared(98, hashtext($2));
      END IF;
      RETURN EXISTS (SELECT FROM instance i JOIN host h ON h.host_id = i.host_id
                     WHERE i.instance_id = $1 AND i.host_id = $2 AND i.generation = $3 AND i.owner_account = $4
                     AND i.acts_as = $5 AND i.state IN (1, 2) AND h.bar_time IS NULL
                     AND (h.vouch_not_before IS NULL OR h.vouch_not_before <= $6));
    END $$;
    -- What copies of before ask, who read on (0114) and do not say when a token was issued: as long ago as can be.
    CREATE OR REPLACE FUNCTION instance_acts(instance_id text, host_id text, generation bigint, account_id text, principal_id text, hold boolean)
    RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT instance_acts($1, $2, $3, $4, $5, '-infinity'::timestamptz, $6) $$;
  `),
  "0130_take_idle_versions": sqlMigration(`
    -- take_versions for those of the sessions whose hosts nobody is writing at this moment: of_host are these, live whether the session
    -- was still the newest. The others are left out, and nobody is waited for.
    CREATE FUNCTION take_idle_versions(host_ids text[], epochs bigint[], versions bigint[],
                                       network_hosts text[], network_ids bigint[], network_versions bigint[])
    RETURNS TABLE (of_host text, live boolean) LANGUAGE plpgsql AS $$
    DECLARE
      idle text[];
    BEGIN
      SELECT array_agg(free.host_id) INTO idle
      FROM (SELECT h.host_id FROM host h WHERE h.host_id = ANY (host_ids) FOR NO KEY UPDATE SKIP LOCKED) AS free;
      SELECT array_agg(s.host_id), array_agg(s.epoch), array_agg(s.version) INTO host_ids, epochs, versions
      FROM unnest(host_ids, epochs, versions) AS s (host_id, epoch, version) WHERE s.host_id = ANY (idle);
      RETURN QUERY SELECT free.host_id, taken.of_host IS NOT NULL
      FROM unnest(idle) AS free (host_id)
      LEFT JOIN take_versions(host_ids, epochs, versions, network_hosts, network_ids, network_versions) AS taken
        ON taken.of_host = free.host_id;
    END $$;
  `),
};
