import { sql } from "kysely";
import type { Transaction } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { startTestPostgres } from "#lib/db/testing.ts";
import type { TestPostgres } from "#lib/db/testing.ts";
import { silentLog } from "#lib/log/log.ts";
import { SCHEMA } from "../call/api.ts";
import { listConsents } from "../consent/out/consents.ts";
import { carryingHosts, listAttachments } from "../interface/out/attachment-store.ts";
import { coordinatorMigrations } from "../migrations.ts";

// What a list costs follows from what it shows, not from what all others have.

const OTHERS = 20_000;
const HOSTS = 10;
const log = silentLog();
let postgres: TestPostgres;
let db: Database<unknown>;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const admin = openDatabase<unknown>({ url: postgres.url, log });
  await migrate(admin.kysely, SCHEMA, coordinatorMigrations);
  await admin.close();
  db = openDatabase({ url: postgres.url, schema: SCHEMA, log });
  await sql`
    INSERT INTO attachment (attachment_id, interface_id, interface_owner, instance_id, instance_owner, attachment_owner, device_index,
                            delete_on_terminate, state, wanted, host_id, network_id, vni, addresses, gateway, group_set_id, ruleset_id, source_dest_check)
    SELECT 'at-' || n, 'eni-' || n, 'acct-' || n % 50, 'i-' || n, 'acct-' || (n + 1) % 50, '', 0, false, 2, 1, 'host-' || n % ${HOSTS}::int, 1, 1, '{}', '', 1, 1,
           true FROM generate_series(1, ${OTHERS}::int) AS n`.execute(db.kysely);
  await sql`
    INSERT INTO consent (consent_id, grantor_account, grantee_account, actions, resource_kind, resource_id, state, created_by)
    SELECT 'cons-' || n, 'acct-' || n % 50, 'acct', '{x}', 'interface', 'eni-' || n, 'ACTIVE', '' FROM generate_series(1, ${OTHERS}::int) AS n`.execute(
    db.kysely,
  );
  await sql`ANALYZE`.execute(db.kysely);
});
afterAll(async () => {
  await db?.close();
  await postgres?.stop();
});

/** Rows of a table that a list reads, whatever it shows. */
const rowsRead = (table: string, list: (tx: Transaction<unknown>) => Promise<unknown>): Promise<number> =>
  db.kysely.transaction().execute(async (tx) => {
    // Counted since the connection last told the server: the difference is the list's.
    const read = async () =>
      (
        await sql<{ read: bigint }>`
          SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS read FROM pg_stat_xact_user_tables WHERE relname = ${table}`.execute(
          tx,
        )
      ).rows[0]?.read ?? 0n;
    const before = await read();
    await list(tx);
    return Number((await read()) - before);
  });

const attachments = (accountId: string) => (tx: Transaction<unknown>) =>
  listAttachments(tx, { visibleTo: { accountId, granted: ["eni-7"] }, interfaceId: "", instanceId: "", after: "", limit: 101 });

test("attachments: of an account's own records and instances, and of what others share", async () => {
  expect(await rowsRead("attachment", attachments("acct-none"))).toBeLessThan(10);
});

test("hosts that carry anything: a few rows of each", async () => {
  expect(await rowsRead("attachment", carryingHosts)).toBeLessThan(HOSTS * 20);
  expect((await carryingHosts(db.kysely)).length).toBe(HOSTS);
});

test("consents of one resource, to an operator", async () => {
  const filter = { party: undefined, resourceId: "eni-7", state: undefined, after: "", limit: 101 };
  expect(await rowsRead("consent", (tx) => listConsents(tx, filter))).toBeLessThan(10);
});
