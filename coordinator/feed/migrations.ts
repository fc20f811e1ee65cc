import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";
import { SCHEMA } from "../call/api.ts";

/** Role of the mapping service. */
const READER = "plenum_mapping";
const VIEWS = "coordinator_feed";

/**
 * What the mapping service may read, and nothing else (C17): a schema of views, and its role. Both are made by whoever migrates, not
 * by the coordinator's role, which may make neither.
 */
export const feedMigrations: Migrations = {
  "0008_feed_views": sqlMigration(`
    RESET ROLE;
    SELECT pg_advisory_xact_lock(hashtext('plenum role ${READER}'));
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${READER}') THEN CREATE ROLE ${READER} NOLOGIN; END IF;
    END $$;
    CREATE SCHEMA IF NOT EXISTS ${VIEWS} AUTHORIZATION ${SCHEMA};
    SET ROLE ${SCHEMA};

    CREATE VIEW ${VIEWS}.network AS SELECT network_id, vni, vpc_id FROM ${SCHEMA}.vpc;

    -- One row per target: addresses of attachments that are placed and not on their way out. wanted 1: PRESENT.
    CREATE VIEW ${VIEWS}.mapping AS
      SELECT d.network_id, text(d.address) AS prefix, a.interface_id, a.attachment_id, a.wire_id, a.host_id,
             host(h.substrate_address) AS host_address, a.group_set_id,
             '02:70:' || regexp_replace(lpad(to_hex(a.wire_id), 8, '0'), '(..)(..)(..)(..)', '\\1:\\2:\\3:\\4') AS mac_address
      FROM ${SCHEMA}.attachment_address d
      JOIN ${SCHEMA}.attachment a USING (attachment_id)
      JOIN ${SCHEMA}.host h USING (host_id)
      WHERE a.wanted = 1 AND a.state IN (1, 2);

    -- Hosts that have anything in the network, on its way out included.
    CREATE VIEW ${VIEWS}.host_network AS
      SELECT DISTINCT host_id, network_id FROM ${SCHEMA}.attachment WHERE host_id IS NOT NULL AND state <> 4;

    CREATE VIEW ${VIEWS}.scope AS SELECT scope, version FROM ${SCHEMA}.scope WHERE scope LIKE 'network:%';
    CREATE VIEW ${VIEWS}.change AS SELECT scope, version, payload FROM ${SCHEMA}.change WHERE scope LIKE 'network:%';

    GRANT USAGE ON SCHEMA ${VIEWS} TO ${READER};
    GRANT SELECT ON ALL TABLES IN SCHEMA ${VIEWS} TO ${READER};
  `),

  // Marks (call's `0035_feed_marks`), as the mapping service gives them out.
  "0036_feed_mark_views": sqlMigration(`
    CREATE OR REPLACE VIEW ${VIEWS}.scope AS SELECT scope, version, mark FROM ${SCHEMA}.scope WHERE scope LIKE 'network:%';
    CREATE OR REPLACE VIEW ${VIEWS}.change AS
      SELECT scope, version, payload, mark, prev_mark FROM ${SCHEMA}.change WHERE scope LIKE 'network:%';
  `),
  "0047_feed_barred": sqlMigration(`
    -- Operators some of whose tokens are not to be accepted: those issued before a time, or all.
    CREATE VIEW ${VIEWS}.barred_operator AS
      SELECT principal_id, disable_time IS NOT NULL AS disabled, tokens_not_before FROM ${SCHEMA}.principal
      WHERE account_id = '' AND (disable_time IS NOT NULL OR tokens_not_before IS NOT NULL);
    GRANT SELECT ON ${VIEWS}.barred_operator TO ${READER};
  `),
  "0049_note_refusals": sqlMigration(`
    -- Calls that were refused at a door (lib/audit): whoever may call this adds refusals to the audit, and can neither read it nor change
    -- in it more than the count of such a row.
    CREATE FUNCTION ${VIEWS}.note_refusals(refusals jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = ${SCHEMA}, pg_temp AS $$
      INSERT INTO audit_entry (entry_id, principal_id, account_id, action, resource_kind, resource_id, resource_account, allowed, hidden,
                               reason, peer, count)
      SELECT entry_id, left(principal_id, 256), left(account_id, 64), left(action, 128), 'call', left(method, 256), left(account_id, 64), false,
             false, left(reason, 64), left(peer, 256), count
      FROM jsonb_to_recordset(refusals)
        AS t (entry_id text, principal_id text, account_id text, action text, method text, reason text, peer text, count bigint)
      WHERE entry_id ~ '^audit-[0-9a-f]{32}$'
      ON CONFLICT (entry_id) DO UPDATE SET count = greatest(audit_entry.count, excluded.count) WHERE audit_entry.resource_kind = 'call';
    $$;
    REVOKE ALL ON FUNCTION ${VIEWS}.note_refusals(jsonb) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION ${VIEWS}.note_refusals(jsonb) TO ${READER};
  `),
  "0086_note_refusals_via": sqlMigration(`
    -- As before, with the instance that acted as the principal, and its host (call's 0085).
    CREATE OR REPLACE FUNCTION ${VIEWS}.note_refusals(refusals jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = ${SCHEMA}, pg_temp AS $$
      INSERT INTO audit_entry (entry_id, principal_id, account_id, action, resource_kind, resource_id, resource_account, allowed, hidden,
                               reason, peer, count, via_instance, via_host)
      SELECT entry_id, left(principal_id, 256), left(account_id, 64), left(action, 128), 'call', left(method, 256), left(account_id, 64), false,
             false, left(reason, 64), left(peer, 256), count, left(coalesce(via_instance, ''), 64), left(coalesce(via_host, ''), 64)
      FROM jsonb_to_recordset(refusals)
        AS t (entry_id text, principal_id text, account_id text, action text, method text, reason text, peer text, count bigint,
              via_instance text, via_host text)
      WHERE entry_id ~ '^audit-[0-9a-f]{32}$'
      ON CONFLICT (entry_id) DO UPDATE SET count = greatest(audit_entry.count, excluded.count) WHERE audit_entry.resource_kind = 'call';
    $$;
  `),
  "0055_mapping_without_given_up": sqlMigration(`
    -- As before, without addresses that an attachment gave up and holds until its host has said so: they live nowhere.
    CREATE OR REPLACE VIEW ${VIEWS}.mapping AS
      SELECT d.network_id, text(d.address) AS prefix, a.interface_id, a.attachment_id, a.wire_id, a.host_id,
             host(h.substrate_address) AS host_address, a.group_set_id,
             '02:70:' || regexp_replace(lpad(to_hex(a.wire_id), 8, '0'), '(..)(..)(..)(..)', '\\1:\\2:\\3:\\4') AS mac_address
      FROM ${SCHEMA}.attachment_address d
      JOIN ${SCHEMA}.attachment a USING (attachment_id)
      JOIN ${SCHEMA}.host h USING (host_id)
      WHERE a.wanted = 1 AND a.state IN (1, 2) AND d.until_generation IS NULL;
  `),
  "0082_take_applied": sqlMigration(`
    -- Take what a host says of attachments, judged on rows that nobody had locked: in one statement, if they are the same rows still.
    -- 'stale': the session is not the host's newest. 'moved': some row is another by now. In both cases nothing is written. Else 'taken';
    -- 'forgotten': of the rulesets that these attachments named those that no other on the host names, each of which is told with its
    -- payload. Locks: host, instances, attachments, the host's scope, scopes.
    CREATE FUNCTION take_applied(
      of_host text, of_epoch bigint, host_version bigint, network_ids bigint[], network_versions bigint[],
      instance_ids text[], instances_seen text[], attachment_ids text[], attachments_seen text[], changes jsonb,
      rulesets bigint[], ruleset_payloads bytea[], scopes text[], payloads bytea[],
      OUT outcome text, OUT forgotten bigint[], OUT appended jsonb
    ) LANGUAGE plpgsql AS $$
    DECLARE
      own_scope text := 'host:' || of_host;
      telling bytea;
    BEGIN
      PERFORM FROM host h WHERE h.host_id = of_host AND h.session_epoch = of_epoch FOR NO KEY UPDATE;
      IF NOT FOUND THEN outcome := 'stale'; RETURN; END IF;
      PERFORM FROM instance i WHERE i.instance_id = ANY (instance_ids) ORDER BY i.instance_id FOR UPDATE;
      PERFORM FROM attachment a WHERE a.attachment_id = ANY (attachment_ids) ORDER BY a.attachment_id FOR UPDATE;
      -- A row that somebody wrote since has another xmin.
      IF EXISTS (SELECT FROM unnest(instance_ids, instances_seen) AS s (id, seen)
                 LEFT JOIN instance i ON i.instance_id = s.id WHERE i.xmin::text IS DISTINCT FROM s.seen)
        OR EXISTS (SELECT FROM unnest(attachment_ids, attachments_seen) AS s (id, seen)
                   LEFT JOIN attachment a ON a.attachment_id = s.id WHERE a.xmin::text IS DISTINCT FROM s.seen)
      THEN outcome := 'moved'; RETURN; END IF;
      outcome := 'taken';
      PERFORM take_versions(ARRAY[of_host], ARRAY[of_epoch], ARRAY[host_version],
                            array_fill(of_host, ARRAY[cardinality(network_ids)]), network_ids, network_versions);
      PERFORM change_attachments(changes);
      IF cardinality(rulesets) > 0 THEN
        -- Before it is looked: what is attached meanwhile, unseen here, then gets its rules in a later version.
        PERFORM FROM scope s WHERE s.scope = own_scope FOR UPDATE;
        SELECT array_agg(r.id ORDER BY r.id), string_agg(r.payload, '' ORDER BY r.id) INTO forgotten, telling
        FROM unnest(rulesets, ruleset_payloads) AS r (id, payload)
        WHERE NOT EXISTS (SELECT FROM attachment a WHERE a.host_id = of_host AND a.state <> 4 AND a.ruleset_id = r.id);
        IF forgotten IS NOT NULL THEN
          scopes := array_append(scopes, own_scope);
          payloads := array_append(payloads, telling);
        END IF;
      END IF;
      SELECT jsonb_agg(jsonb_build_object('scope', c.scope, 'version', c.version::text, 'mark', c.mark::text, 'prevMark', c.prev_mark::text))
      INTO appended FROM append_changes(scopes, payloads) AS c;
    END $$;
  `),
  "0099_feed_barred_hosts": sqlMigration(`
    -- Hosts from which nothing is taken (placement's 0098).
    CREATE VIEW ${VIEWS}.barred_host AS SELECT host_id FROM ${SCHEMA}.host WHERE bar_time IS NOT NULL;
    GRANT SELECT ON ${VIEWS}.barred_host TO ${READER};
  `),
};
