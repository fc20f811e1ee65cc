import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deleteInBatches } from "#lib/db/delete-in-batches.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { startTestPostgres } from "#lib/db/testing.ts";
import type { TestPostgres } from "#lib/db/testing.ts";
import { trimChanges } from "#lib/feed/feed.ts";
import { silentLog } from "#lib/log/log.ts";
import { SCHEMA } from "./call/api.ts";
import type { Calls } from "./call/api.ts";
import { coordinatorMigrations } from "./migrations.ts";
import { startSweeper } from "./sweep.ts";

const log = silentLog();
let postgres: TestPostgres;
let db: Database<unknown>;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const admin = openDatabase<unknown>({ url: postgres.url, log });
  await migrate(admin.kysely, SCHEMA, coordinatorMigrations);
  // Each row takes 5 ms to remove, and a statement has 400.
  await sql`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN OLD; END'`.execute(
    admin.kysely,
  );
  for (const table of ["change", "idempotency"]) {
    await sql`CREATE TRIGGER slowly BEFORE DELETE ON ${sql.table(`${SCHEMA}.${table}`)} FOR EACH ROW EXECUTE FUNCTION slowly()`.execute(
      admin.kysely,
    );
  }
  await admin.close();
  db = openDatabase({ url: postgres.url, schema: SCHEMA, statementTimeoutMs: 400, log });
});
afterAll(async () => {
  await db?.close();
  await postgres?.stop();
});

const ROWS = 300;

async function changes(scope: string, count: number, age: string): Promise<void> {
  await sql`
    INSERT INTO change (scope, version, payload, created_at)
    SELECT ${scope}, coalesce((SELECT max(version) FROM change WHERE scope = ${scope}), 0) + n, '', clock_timestamp() - ${age}::interval
    FROM generate_series(1, ${count}::int) AS n`.execute(db.kysely);
}
const keys = (age: string) => sql`
  INSERT INTO idempotency (account_id, principal_id, method, request_id, request_hash, create_time)
  SELECT 'acct', 'alice', 'make', ${age} || n, '', now() - ${age}::interval FROM generate_series(1, ${ROWS}::int) AS n`;
const left = async () =>
  (
    await sql<{ scope: string; first: string; count: number }>`
      SELECT scope, min(version)::text AS first, count(*)::int AS count FROM change GROUP BY scope ORDER BY scope`.execute(db.kysely)
  ).rows;

test("what nobody removed for long goes in pieces, from the old end of each scope", async () => {
  await changes("host:a", 3, "2 hours");
  await changes("host:b", ROWS, "2 hours");
  await changes("host:b", 2, "0 hours");
  await changes("host:c", 7, "2 hours");
  await changes("host:d", 1, "0 hours");
  expect(await trimChanges(db.kysely, 3_600, { batch: 20 })).toBe(BigInt(ROWS + 10));
  expect(await left()).toEqual([
    { scope: "host:b", first: String(ROWS + 1), count: 2 },
    { scope: "host:d", first: "1", count: 1 },
  ]);
  await keys("2 days").execute(db.kysely);
  await deleteInBatches(db.kysely, "idempotency", sql`create_time < now() - interval '1 day'`, { batch: 20 });
  expect((await sql`SELECT FROM idempotency`.execute(db.kysely)).rows).toEqual([]);
});

const network = { forgetGroupSets: () => Promise.resolve() };

test("a table that cannot be swept keeps no other from it", async () => {
  const warned = new Set<unknown>();
  const telling = { warn: ({ what }: { what: unknown }) => void warned.add(what) } as unknown as typeof log;
  await changes("host:e", 10, "2 hours");
  await sql`
    INSERT INTO join_token (token_hash, zone_id, expire_time, created_by) VALUES ('\\x00', 'z', now() - interval '9 days', 'x')`.execute(
    db.kysely,
  );
  const calls = { sweep: () => Promise.reject(new Error("no")) } as unknown as Calls;
  const sweeper = startSweeper({ calls, db: db.kysely, network, everyMs: 20, keepChangesSeconds: 3_600, log: telling });
  const tokens = async () => (await sql`SELECT FROM join_token`.execute(db.kysely)).rows.length;
  await expect.poll(tokens).toBe(0);
  await sweeper.stop();
  expect((await left()).map(({ scope }) => scope)).not.toContain("host:e");
  expect([...warned]).toEqual(["idempotency"]);
});

/** The same database; each statement is added to `sent`, as text that names the tables. */
const noting = (sent: string[]) =>
  db.kysely.withPlugin({
    transformQuery({ node }) {
      sent.push(JSON.stringify(node));
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  });

const removals = (sent: readonly string[], table: string): number =>
  sent.filter((text) => text.includes("DELETE FROM") && text.includes(`"name":"${table}"`)).length;

test("what is removed each hour and could not be is tried again soon, without the rest", async () => {
  await sql`
    INSERT INTO audit_entry (entry_id, time, principal_id, account_id, action, resource_kind, resource_id, resource_account, allowed, hidden, reason)
    VALUES ('audit-1', now() - interval '2 years', '', '', '', '', '', '', true, false, '')`.execute(db.kysely);
  await sql`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'`.execute(db.kysely);
  await sql`CREATE TRIGGER refuse BEFORE DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION refuse()`.execute(db.kysely);
  const sent: string[] = [];
  const calls = { sweep: () => Promise.resolve() } as unknown as Calls;
  const sweeper = startSweeper({ calls, db: noting(sent), network, everyMs: 20, keepChangesSeconds: 3_600, log });
  await expect.poll(() => removals(sent, "audit_entry")).toBeGreaterThan(3);
  await sweeper.stop();
  expect(["consent", "meter", "ruleset"].map((table) => removals(sent, table))).toEqual([1, 1, 1]);
});

test("a sweeper that is stopped ends with the batch at which it is, however much is left", async () => {
  await keys("2 days").execute(db.kysely);
  const begun = Promise.withResolvers<void>();
  const calls = {
    sweep(signal?: AbortSignal) {
      begun.resolve();
      return deleteInBatches(db.kysely, "idempotency", sql`create_time < now() - interval '1 day'`, { batch: 2, signal });
    },
  } as unknown as Calls;
  const sweeper = startSweeper({ calls, db: db.kysely, network, everyMs: 20, keepChangesSeconds: 3_600, log });
  await begun.promise;
  await sweeper.stop();
  expect((await sql`SELECT FROM idempotency`.execute(db.kysely)).rows.length).toBeGreaterThan(0);
});
