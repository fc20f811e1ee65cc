import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLog } from "../log/log.ts";
import { openDatabase } from "./database.ts";
import type { Database } from "./database.ts";
import { startTestPostgres } from "./testing.ts";
import type { TestPostgres } from "./testing.ts";

describe("embedded PostgreSQL", () => {
  let server: TestPostgres;
  let db: Database<unknown>;
  beforeAll(async () => {
    server = await startTestPostgres();
    db = openDatabase({ url: server.url, log: silentLog() });
  });
  afterAll(async () => {
    await db?.close();
    await server?.stop();
  });

  it.each(["fsync", "synchronous_commit", "full_page_writes"])("has %s on (C19)", async (name) => {
    const { rows } = await sql<{ setting: string }>`SELECT setting FROM pg_settings WHERE name = ${name}`.execute(db.kysely);
    expect(rows).toEqual([{ setting: "on" }]);
  });

  it("listens on no network address", async () => {
    const { rows } = await sql<{ setting: string }>`SELECT setting FROM pg_settings WHERE name = 'listen_addresses'`.execute(db.kysely);
    expect(rows).toEqual([{ setting: "" }]);
  });

  it("reads 64-bit integers exactly", async () => {
    const { rows } = await sql<{
      one: bigint;
      many: (bigint | null)[];
    }>`SELECT 9007199254740993::bigint AS one, ARRAY[1, NULL]::bigint[] AS many`.execute(db.kysely);
    expect(rows).toEqual([{ one: 9007199254740993n, many: [1n, null] }]);
  });
});
