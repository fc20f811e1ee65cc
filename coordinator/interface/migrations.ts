import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";

/** Tables of interface records, their attachments and what hosts counted for them. Numbers of enums are those of the protos. */
export const interfaceMigrations: Migrations = {
  "0006_interface": sqlMigration(`
    CREATE TABLE interface (
      interface_id       text PRIMARY KEY,
      owner_account      text NOT NULL,
      payer_account      text NOT NULL,
      created_by         text NOT NULL,
      vpc_id             text NOT NULL,
      subnet_id          text NOT NULL,
      zone_id            text NOT NULL,              -- the subnet's; '' any
      network_id         bigint NOT NULL,
      vni                bigint NOT NULL,
      addresses          text[] NOT NULL,            -- with prefix length, the first is primary; interface_address has them by number
      gateway            text NOT NULL,
      security_group_ids text[] NOT NULL,
      group_set_id       bigint NOT NULL,
      description        text NOT NULL,
      tags               jsonb NOT NULL,
      source_dest_check  boolean NOT NULL,
      generation         bigint NOT NULL DEFAULT 1,
      row_version        bigint NOT NULL DEFAULT 1,
      create_time        timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX interface_owner ON interface (owner_account, interface_id);
    CREATE INDEX interface_vpc ON interface (vpc_id, interface_id);
    CREATE INDEX interface_subnet ON interface (subnet_id, interface_id);
    CREATE INDEX interface_groups ON interface USING gin (security_group_ids);

    -- Which addresses of a subnet are named by a record. Two records may name one (N2).
    CREATE TABLE interface_address (
      interface_id text NOT NULL REFERENCES interface ON DELETE CASCADE,
      subnet_id    text NOT NULL,
      address      inet NOT NULL,
      PRIMARY KEY (interface_id, address)
    );
    CREATE INDEX interface_address_subnet ON interface_address (subnet_id, address);

    -- Where the next pick in a subnet begins. Its row is the lock under which addresses are picked (C9).
    CREATE TABLE subnet_pick (
      subnet_id text PRIMARY KEY,
      next      inet NOT NULL
    );

    CREATE SEQUENCE wire_id_seq AS bigint MINVALUE 1 MAXVALUE 4294967295 NO CYCLE;
    CREATE SEQUENCE meter_id_seq AS bigint MINVALUE 1 NO CYCLE;

    -- What an attachment needs of its interface is copied at its making: the record may be gone while the attachment can still be read.
    CREATE TABLE attachment (
      attachment_id        text PRIMARY KEY,
      interface_id         text NOT NULL,
      interface_owner      text NOT NULL,
      instance_id          text NOT NULL,
      instance_owner       text NOT NULL,
      attachment_owner     text NOT NULL,
      device_index         int NOT NULL,
      delete_on_terminate  boolean NOT NULL,
      delete_when_detached boolean NOT NULL DEFAULT false,  -- its instance is being terminated and delete_on_terminate was set
      state                smallint NOT NULL,
      wanted               smallint NOT NULL,
      host_id              text,
      generation           bigint NOT NULL DEFAULT 1,
      wire_id              bigint NOT NULL UNIQUE DEFAULT nextval('wire_id_seq'),
      meter_id             bigint NOT NULL DEFAULT nextval('meter_id_seq'),
      network_id           bigint NOT NULL,
      vni                  bigint NOT NULL,
      addresses            text[] NOT NULL,
      gateway              text NOT NULL,
      group_set_id         bigint NOT NULL,
      ruleset_id           bigint NOT NULL,
      source_dest_check    boolean NOT NULL,
      applied_generation   bigint NOT NULL DEFAULT 0,
      applied_state        smallint NOT NULL DEFAULT 0,
      applied_message      text NOT NULL DEFAULT '',
      applied_time         timestamptz,
      attach_time          timestamptz NOT NULL DEFAULT now(),
      change_time          timestamptz NOT NULL DEFAULT now(), -- of the newest change that a host must apply
      programmed_time      timestamptz,
      detach_time          timestamptz
    );
    CREATE UNIQUE INDEX attachment_of_interface ON attachment (interface_id) WHERE state <> 4;
    CREATE UNIQUE INDEX attachment_device ON attachment (instance_id, device_index) WHERE state <> 4;
    CREATE INDEX attachment_host ON attachment (host_id) WHERE state <> 4 AND host_id IS NOT NULL;
    CREATE INDEX attachment_network ON attachment (network_id) WHERE state <> 4 AND host_id IS NOT NULL;
    CREATE INDEX attachment_group_set ON attachment (group_set_id) WHERE state <> 4;
    CREATE INDEX attachment_over ON attachment (detach_time) WHERE state = 4;

    -- One attached holder for each address of a network (C9). A row lives as long as its attachment is not DETACHED.
    CREATE TABLE attachment_address (
      network_id    bigint NOT NULL,
      address       inet NOT NULL,
      attachment_id text NOT NULL REFERENCES attachment ON DELETE CASCADE,
      PRIMARY KEY (network_id, address)
    );
    CREATE INDEX attachment_address_attachment ON attachment_address (attachment_id);

    -- A meter is made with each placement and never used again (C22, D18). Cumulative; only ever larger.
    CREATE TABLE meter (
      meter_id        bigint PRIMARY KEY,
      attachment_id   text NOT NULL,
      interface_id    text NOT NULL,
      host_id         text NOT NULL,
      wire_id         bigint NOT NULL,
      egress_packets  bigint NOT NULL DEFAULT 0,
      egress_bytes    bigint NOT NULL DEFAULT 0,
      ingress_packets bigint NOT NULL DEFAULT 0,
      ingress_bytes   bigint NOT NULL DEFAULT 0,
      read_time       timestamptz
    );
    CREATE INDEX meter_interface ON meter (interface_id);
    CREATE INDEX meter_attachment ON meter (attachment_id);
    CREATE INDEX meter_wire ON meter (wire_id);

    CREATE TABLE meter_drop (
      meter_id bigint NOT NULL REFERENCES meter ON DELETE CASCADE,
      reason   text NOT NULL,
      packets  bigint NOT NULL,
      PRIMARY KEY (meter_id, reason)
    );
  `),
  "0009_forced_attachments": sqlMigration(`
    -- Set: its end on its host is forced (C7). 0: since a moment ago; else the version of its network that every reachable host must have
    -- applied, which no longer has its mappings.
    ALTER TABLE attachment ADD COLUMN forced_version bigint;
    -- It is over by force, and its host has not said so: it stays in that host's feed as ABSENT.
    ALTER TABLE attachment ADD COLUMN unconfirmed boolean NOT NULL DEFAULT false;
    CREATE INDEX attachment_forced ON attachment (instance_id) WHERE forced_version IS NOT NULL;
    CREATE INDEX attachment_unconfirmed ON attachment (host_id) WHERE unconfirmed;
  `),
  "0031_counter_epochs": sqlMigration(`
    -- What a meter counted is the sum over epochs: a host that was started anew counts from 0 under another one (C22). Each row only rises.
    CREATE TABLE meter_reading (
      meter_id        bigint NOT NULL REFERENCES meter ON DELETE CASCADE,
      epoch           bigint NOT NULL,
      egress_packets  bigint NOT NULL,
      egress_bytes    bigint NOT NULL,
      ingress_packets bigint NOT NULL,
      ingress_bytes   bigint NOT NULL,
      read_time       timestamptz NOT NULL,
      PRIMARY KEY (meter_id, epoch)
    ) WITH (fillfactor = 70);
    INSERT INTO meter_reading
    SELECT meter_id, 0, egress_packets, egress_bytes, ingress_packets, ingress_bytes, read_time FROM meter WHERE read_time IS NOT NULL;
    ALTER TABLE meter DROP COLUMN egress_packets, DROP COLUMN egress_bytes, DROP COLUMN ingress_packets, DROP COLUMN ingress_bytes,
      DROP COLUMN read_time;

    -- Numbered drops of an attachment on a host, in the same way. The drop counters there are the attachment's, whatever meter it has.
    CREATE TABLE attachment_drop (
      wire_id bigint NOT NULL,
      host_id text NOT NULL,
      reason  text NOT NULL,
      epoch   bigint NOT NULL,
      packets bigint NOT NULL,
      PRIMARY KEY (wire_id, host_id, reason, epoch)
    ) WITH (fillfactor = 70);
    -- The newest meter's may rise still; those of earlier meters are over, each an epoch of its own.
    INSERT INTO attachment_drop
    SELECT m.wire_id, m.host_id, d.reason,
      CASE WHEN EXISTS (SELECT FROM meter n WHERE n.wire_id = m.wire_id AND n.host_id = m.host_id AND n.meter_id > m.meter_id)
        THEN -m.meter_id ELSE 0 END, d.packets
    FROM meter_drop d JOIN meter m USING (meter_id);
    DROP TABLE meter_drop;
  `),
  "0043_attachment_residue": sqlMigration(`
    -- What is off a host by force, and that host has not said so: it may forward on. Stays in its feed as ABSENT until it has (C7).
    CREATE TABLE attachment_residue (
      host_id       text NOT NULL,
      attachment_id text NOT NULL REFERENCES attachment,
      network_id    bigint NOT NULL,
      generation    bigint NOT NULL, -- of the item that the host must answer
      meter_id      bigint NOT NULL, -- by which it counted
      PRIMARY KEY (host_id, attachment_id)
    );
    CREATE INDEX attachment_residue_attachment ON attachment_residue (attachment_id);
    CREATE INDEX attachment_residue_network ON attachment_residue (network_id);
    INSERT INTO attachment_residue (host_id, attachment_id, network_id, generation, meter_id)
      SELECT host_id, attachment_id, network_id, generation, meter_id FROM attachment WHERE unconfirmed AND host_id IS NOT NULL;
    ALTER TABLE attachment DROP COLUMN unconfirmed;
  `),
  "0053_attachment_principals": sqlMigration(`
    -- Who asked for it and for its end; empty where that was before this was kept.
    ALTER TABLE attachment ADD COLUMN created_by text NOT NULL DEFAULT '', ADD COLUMN detached_by text NOT NULL DEFAULT '';
  `),
  "0054_address_release": sqlMigration(`
    -- Set: the attachment no longer has the address, and holds it until its host has said so of this generation, or is off it (C7).
    ALTER TABLE attachment_address ADD COLUMN until_generation bigint;
    CREATE INDEX attachment_address_release ON attachment_address (attachment_id) WHERE until_generation IS NOT NULL;
  `),
  "0057_dns_servers": sqlMigration(`
    ALTER TABLE interface ADD COLUMN dns_servers text[] NOT NULL DEFAULT '{}';
    ALTER TABLE attachment ADD COLUMN dns_servers text[] NOT NULL DEFAULT '{}';
  `),
  "0058_interface_disabled": sqlMigration(`
    ALTER TABLE interface ADD COLUMN disabled boolean NOT NULL DEFAULT false;
    ALTER TABLE attachment ADD COLUMN disabled boolean NOT NULL DEFAULT false;
  `),
  "0059_interface_name": sqlMigration(`
    ALTER TABLE interface ADD COLUMN name text NOT NULL DEFAULT '';
  `),
  "0062_interface_use": sqlMigration(`
    INSERT INTO account_use (account_id, quota, used, day)
    SELECT owner_account, 'interfaces', count(*), now() FROM interface GROUP BY owner_account;
  `),
  "0080_change_attachments": sqlMigration(`
    -- Change attachments that are locked, by what is given of each; what is null stays. A function, so that a host's word is taken by one
    -- statement (0082). Times follow from the states: programmed when ATTACHED (2) for the first time, detached when DETACHED (4). What is
    -- over lets its addresses go; what was given others lets the old ones go when its host has said PRESENT (1), or it is on none.
    CREATE FUNCTION change_attachments(changes jsonb) RETURNS SETOF attachment LANGUAGE plpgsql AS $$
    BEGIN
      RETURN QUERY WITH given AS (
        SELECT * FROM jsonb_to_recordset(changes) AS t (
          attachment_id text, state smallint, wanted smallint, host_id text, generation bigint, group_set_id bigint, ruleset_id bigint,
          source_dest_check boolean, dns_servers text[], disabled boolean, addresses text[], delete_on_terminate boolean, detached_by text,
          delete_when_detached boolean, applied_generation bigint, applied_state smallint, applied_message text, placed boolean,
          forced_version bigint)
      ), changed AS (
        UPDATE attachment a SET
          state = g.state, wanted = g.wanted, host_id = g.host_id, generation = g.generation,
          group_set_id = coalesce(g.group_set_id, a.group_set_id),
          ruleset_id = coalesce(g.ruleset_id, a.ruleset_id),
          source_dest_check = coalesce(g.source_dest_check, a.source_dest_check),
          dns_servers = coalesce(g.dns_servers, a.dns_servers),
          disabled = coalesce(g.disabled, a.disabled),
          addresses = coalesce(g.addresses, a.addresses),
          delete_on_terminate = coalesce(g.delete_on_terminate, a.delete_on_terminate),
          detached_by = CASE WHEN a.detached_by = '' THEN coalesce(g.detached_by, '') ELSE a.detached_by END,
          delete_when_detached = coalesce(g.delete_when_detached, a.delete_when_detached),
          applied_generation = coalesce(g.applied_generation, a.applied_generation),
          applied_state = coalesce(g.applied_state, a.applied_state),
          applied_message = coalesce(g.applied_message, a.applied_message),
          applied_time = CASE WHEN g.applied_generation IS NULL THEN a.applied_time ELSE now() END,
          change_time = CASE WHEN g.generation <> a.generation OR g.state <> a.state THEN now() ELSE a.change_time END,
          meter_id = CASE WHEN g.placed THEN nextval('meter_id_seq') ELSE a.meter_id END,
          programmed_time = CASE WHEN g.state = 2 THEN coalesce(a.programmed_time, now()) ELSE a.programmed_time END,
          forced_version = CASE WHEN g.state = 4 OR g.host_id IS NULL THEN NULL ELSE greatest(a.forced_version, g.forced_version) END,
          detach_time = CASE WHEN g.state = 4 THEN coalesce(a.detach_time, now()) ELSE a.detach_time END
        FROM given g WHERE a.attachment_id = g.attachment_id
        RETURNING a AS one, g.placed
      ), metered AS (
        INSERT INTO meter (meter_id, attachment_id, interface_id, host_id, wire_id)
        SELECT (one).meter_id, (one).attachment_id, (one).interface_id, (one).host_id, (one).wire_id FROM changed WHERE placed
      ), freed AS (
        DELETE FROM attachment_address AS kept USING changed
        WHERE kept.attachment_id = (one).attachment_id
          AND ((one).state = 4 OR kept.until_generation IS NOT NULL
               AND ((one).host_id IS NULL OR (one).applied_state = 1 AND (one).applied_generation >= kept.until_generation))
      )
      SELECT (one).* FROM changed;
    END $$;
  `),
  "0098_residue_version": sqlMigration(`
    -- The network's version without the mapping: a host that has it takes nothing from the old one. NULL: ended before this was kept.
    ALTER TABLE attachment_residue ADD COLUMN version bigint;
  `),
  "0101_interface_group_set": sqlMigration(`
    -- Which sets of groups are of no record.
    CREATE INDEX interface_group_set ON interface (group_set_id);
    `),
  "0122_attachment_owners": sqlMigration(`
    -- What an account is shown: attachments of its records, and those to its instances.
    CREATE INDEX attachment_interface_owner ON attachment (interface_owner, attachment_id) WHERE state <> 4;
    CREATE INDEX attachment_instance_owner ON attachment (instance_owner, attachment_id) WHERE state <> 4;
  `),
};
