import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import { deleteInBatches } from "#lib/db/delete-in-batches.ts";
import { sqlMigration } from "#lib/db/migrate.ts";
import type { Migrations } from "#lib/db/migrate.ts";

/**
 * What nobody asks for any more, over the tables of all modules: one place that says how long anything is kept. Rows with a short life
 * of their own are removed by their module (idempotency keys, changes, attachments, instances, join tokens).
 */

/** Days for which decisions, and consents that were taken back, are kept: a year and a month. */
const AUDIT_DAYS = 400;
/** Days for which an operation that ended can be read; an instance's newest stays with the instance. */
const OPERATION_DAYS = 30;

/** Indexes by which those rows are found. */
export const retentionMigrations: Migrations = {
  "0030_retention": sqlMigration(`
    CREATE INDEX audit_entry_time ON audit_entry (time);
    CREATE INDEX operation_ended ON operation (end_time) WHERE end_time IS NOT NULL;
    CREATE INDEX consent_revoked ON consent (revoke_time) WHERE state = 'REVOKED';
    CREATE INDEX group_set_ruleset ON group_set (ruleset_id);
    -- Which networks a host has anything in.
    DROP INDEX attachment_host;
    CREATE INDEX attachment_host ON attachment (host_id, network_id) WHERE state <> 4 AND host_id IS NOT NULL;
  `),
};

interface Kept {
  readonly table: string;
  /** True of the rows that go. */
  readonly over: RawBuilder<unknown>;
}

const days = (count: number) => sql`now() - make_interval(days => ${count})`;

const KEPT: readonly Kept[] = [
  { table: "audit_entry", over: sql`time < ${days(AUDIT_DAYS)}` },
  { table: "consent", over: sql`state = 'REVOKED' AND revoke_time < ${days(AUDIT_DAYS)}` },
  {
    table: "operation",
    over: sql`end_time < ${days(OPERATION_DAYS)}
      AND NOT EXISTS (SELECT FROM instance WHERE instance.instance_id = operation.subject_id AND instance.operation_id = operation.operation_id)`,
  },
  // What a record and all its attachments counted ends with the last of them: nothing can show it any more.
  {
    table: "meter",
    over: sql`NOT EXISTS (SELECT FROM interface WHERE interface.interface_id = meter.interface_id)
      AND NOT EXISTS (SELECT FROM attachment WHERE attachment.attachment_id = meter.attachment_id)`,
  },
  {
    table: "attachment_drop",
    over: sql`NOT EXISTS (SELECT FROM meter WHERE meter.wire_id = attachment_drop.wire_id AND meter.host_id = attachment_drop.host_id)`,
  },
  { table: "subnet_pick", over: sql`NOT EXISTS (SELECT FROM subnet WHERE subnet.subnet_id = subnet_pick.subnet_id)` },
  // One that no set means and no attachment names is never named again: a change of rules makes a new one. The hour is for whoever has
  // just read its number.
  {
    table: "ruleset",
    over: sql`create_time < now() - interval '1 hour'
      AND NOT EXISTS (SELECT FROM group_set WHERE group_set.ruleset_id = ruleset.ruleset_id)
      AND NOT EXISTS (SELECT FROM attachment WHERE attachment.ruleset_id = ruleset.ruleset_id AND state <> 4)`,
  },
  {
    table: "host_network_version",
    over: sql`NOT EXISTS (
        SELECT FROM attachment
        WHERE attachment.host_id = host_network_version.host_id AND attachment.network_id = host_network_version.network_id AND state <> 4)`,
  },
];

/** Removals of what is kept no longer, by table. */
export function forgettingOld(db: Kysely<unknown>): Readonly<Record<string, (signal?: AbortSignal) => Promise<void>>> {
  return Object.fromEntries(KEPT.map(({ table, over }) => [table, (signal?: AbortSignal) => deleteInBatches(db, table, over, { signal })]));
}
