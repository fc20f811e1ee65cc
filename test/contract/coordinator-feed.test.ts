import { sql } from "kysely";
import type { Kysely } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MemoryHub } from "#lib/bus/memory.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { startTestPostgres } from "#lib/db/testing.ts";
import type { TestPostgres } from "#lib/db/testing.ts";
import { silentLog } from "#lib/log/log.ts";
import { coordinatorMigrations } from "../../coordinator/migrations.ts";
import { COORDINATOR_FEED_COLUMNS, FEED_SCHEMA } from "../../mapping-service/out/tables.ts";
import type { CoordinatorFeed } from "../../mapping-service/out/tables.ts";
import { TestCoordinator } from "../../mapping-service/testing/coordinator.ts";

// The views through which the coordinator shows the mapping service its mappings (C17): what the one makes is what the other reads,
// and the stand-in of the mapping service's own tests has the same shape.

/** Types that the reader counts on: ids are exact, and `pg` gives bigint for int8. */
const TYPES: Readonly<Record<string, string>> = {
  network_id: "int8",
  vni: "int4",
  wire_id: "int8",
  group_set_id: "int8",
  version: "int8",
  mark: "int8",
  prev_mark: "int8",
  payload: "bytea",
  disabled: "bool",
  tokens_not_before: "timestamptz",
};

const EXPECTED = Object.entries(COORDINATOR_FEED_COLUMNS).flatMap(([view, columns]) =>
  columns.map((column) => `${view}.${column} ${TYPES[column] ?? "text"}`),
);

async function columnsOf(db: Kysely<CoordinatorFeed>): Promise<string[]> {
  const { rows } = await sql<{ text: string }>`
    SELECT table_name || '.' || column_name || ' ' || udt_name AS text FROM information_schema.columns
    WHERE table_schema = ${FEED_SCHEMA}`.execute(db);
  return rows.map(({ text }) => text);
}

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

const log = silentLog();

test("the stand-in of the mapping service's tests has the columns", async () => {
  const bus = new MemoryHub().connect(log);
  const admin = openDatabase<CoordinatorFeed>({ url: postgres.url, log });
  await sql`CREATE DATABASE stand_in`.execute(admin.kysely);
  await admin.close();
  const url = new URL(postgres.url);
  url.pathname = "/stand_in";
  const coordinator = await TestCoordinator.create(url.href, bus);
  const db = openDatabase<CoordinatorFeed>({ url: url.href, log });
  try {
    expect(await columnsOf(db.kysely)).toEqual(expect.arrayContaining(EXPECTED));
  } finally {
    await db.close();
    await coordinator.close();
  }
});

describe("the coordinator's migrations", () => {
  let admin: Database<CoordinatorFeed>;
  beforeAll(async () => {
    admin = openDatabase({ url: postgres.url, log });
    await migrate(admin.kysely, "coordinator", coordinatorMigrations);
  });
  afterAll(() => admin.close());

  test("make the views with the columns", async () => {
    expect(await columnsOf(admin.kysely)).toEqual(expect.arrayContaining(EXPECTED));
  });

  test("let the mapping service read them, and no more", async () => {
    const reader = openDatabase<CoordinatorFeed>({ url: postgres.url, role: "plenum_mapping", log });
    try {
      for (const [view, columns] of Object.entries(COORDINATOR_FEED_COLUMNS)) {
        const read = sql`SELECT ${sql.join(columns.map((column) => sql.ref(column)))} FROM ${sql.table(`${FEED_SCHEMA}.${view}`)}`;
        expect((await read.execute(reader.kysely)).rows).toEqual([]);
      }
      await expect(sql`SELECT FROM coordinator.scope`.execute(reader.kysely)).rejects.toThrow(/permission denied/);
      await expect(sql`DELETE FROM coordinator_feed.scope`.execute(reader.kysely)).rejects.toThrow(/permission denied/);
    } finally {
      await reader.close();
    }
  });
});
