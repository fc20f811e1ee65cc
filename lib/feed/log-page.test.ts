import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase } from "../db/database.ts";
import type { Database } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import { startTestPostgres } from "../db/testing.ts";
import type { TestPostgres } from "../db/testing.ts";
import { transaction } from "../db/transaction.ts";
import { silentLog } from "../log/log.ts";
import { appendChanges, feedMarks, feedMigration } from "./feed.ts";
import { createLogReader } from "./log-reader.ts";
import type { Since } from "./log-reader.ts";

const SCHEMA = "pages";
const MIB = 1_048_576;

let postgres: TestPostgres;
let db: Database<unknown>;
beforeAll(async () => {
  postgres = await startTestPostgres();
  db = openDatabase<unknown>({ url: postgres.url, schema: SCHEMA, log: silentLog() });
  await migrate(db.kysely, SCHEMA, { "0001_feed": feedMigration(SCHEMA), "0002_marks": feedMarks(SCHEMA) });
});
afterAll(async () => {
  await db?.close();
  await postgres?.stop();
});

/** Write changes of so many bytes each; then read them from the beginning, page by page: the bytes of the changes of each. */
async function pagesOf(scope: string, sizes: readonly number[]): Promise<number[][]> {
  for (const size of sizes)
    await transaction(db.kysely, (tx) => appendChanges(tx, [{ scope, payload: new Uint8Array(size).fill(size % 251) }]));
  const reader = createLogReader(db.kysely, SCHEMA);
  const pages: number[][] = [];
  let at: Since = { version: 0n, mark: 0n };
  for (;;) {
    const answer = await reader.after(scope, at);
    if (answer.kind === "gone") throw new Error("the history is gone");
    if (answer.deltas.length === 0) return pages;
    pages.push(answer.deltas.map((delta) => delta.payload.length));
    at = answer.deltas.at(-1) ?? at;
  }
}

test("a page has so many bytes at most, whatever a change has; one that is larger comes alone, and none is left out", async () => {
  const sizes = [...Array.from({ length: 10 }, () => MIB), 6 * MIB, 10, 6 * MIB, 10, 20];
  const pages = await pagesOf("host:large", sizes);
  expect(pages.flat()).toEqual(sizes);
  expect(pages.filter((page) => page.length > 1 && page.reduce((sum, size) => sum + size, 0) > 4 * MIB)).toEqual([]);
  expect(pages.slice(0, 3).map((page) => page.length)).toEqual([4, 4, 2]);
});

test("small changes come 500 at a time", async () => {
  const pages = await pagesOf(
    "host:small",
    Array.from({ length: 501 }, () => 1),
  );
  expect(pages.map((page) => page.length)).toEqual([500, 1]);
});
