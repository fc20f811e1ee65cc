import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { silentLog } from "../log/log.ts";
import { openDatabase } from "./database.ts";
import type { Database } from "./database.ts";
import { startTestPostgres } from "./testing.ts";
import type { TestPostgres } from "./testing.ts";
import { together } from "./together.ts";
import { snapshot, transaction } from "./transaction.ts";

let server: TestPostgres;
let db: Database<unknown>;
/** What was sent (">") and answered ("<"), by its first word. */
let events: string[] = [];
let failBegin = false;

beforeAll(async () => {
  server = await startTestPostgres();
  db = openDatabase({ url: server.url, log: silentLog(), connections: 1 });
  db.pool.on("connect", (client) => {
    const query = client.query.bind(client) as (text: string, values?: unknown[]) => Promise<unknown>;
    const noted = (text: string, values?: unknown[]): Promise<unknown> => {
      const [word = ""] = text.trim().split(" ");
      events.push(`> ${word}`);
      const answer = word === "start" && failBegin ? query("SELECT 1/0") : query(text, values);
      const answered = (): void => void events.push(`< ${word}`);
      answer.then(answered, answered);
      return answer;
    };
    client.query = noted as typeof client.query;
  });
  await sql`CREATE TABLE told (id int PRIMARY KEY)`.execute(db.kysely);
});
afterAll(async () => {
  await db?.close();
  await server?.stop();
});
beforeEach(() => {
  events = [];
  failBegin = false;
});

const count = sql<{ told: number }>`SELECT count(*)::int AS told FROM told`;
const insert = (id: number) => sql`INSERT INTO told VALUES (${id})`;
const told = async (): Promise<number | undefined> => (await count.execute(db.kysely)).rows[0]?.told;

it("sends what reads first with BEGIN, what writes first after its answer, and all in order", async () => {
  await snapshot(db.kysely, (tx) => count.execute(tx));
  expect(events).toEqual(["> start", "> SELECT", "< start", "< SELECT", "> commit", "< commit"]);
  events = [];
  await transaction(db.kysely, (tx) => insert(1).execute(tx));
  expect(events).toEqual(["> start", "< start", "> INSERT", "< INSERT", "> commit", "< commit"]);
  events = [];
  const seen = await transaction(db.kysely, (tx) =>
    together(tx, (all) => Promise.all([count.execute(all), insert(2).execute(all), count.execute(all)])),
  );
  expect([seen[0].rows[0]?.told, seen[2].rows[0]?.told]).toEqual([1, 2]);
  expect(events.filter((event) => event.startsWith(">"))).toEqual(["> start", "> SELECT", "> INSERT", "> SELECT", "> commit"]);
  events = [];
  await transaction(db.kysely, () => Promise.resolve());
  expect(events).toEqual(["> start", "< start", "> commit", "< commit"]);
});

it("writes nothing where BEGIN failed, and tells why", async () => {
  const before = await told();
  failBegin = true;
  const division = { code: "22012" };
  await expect(transaction(db.kysely, (tx) => insert(3).execute(tx))).rejects.toMatchObject(division);
  await expect(transaction(db.kysely, (tx) => count.execute(tx))).rejects.toMatchObject(division);
  await expect(
    transaction(db.kysely, (tx) => together(tx, (all) => Promise.all([count.execute(all), insert(3).execute(all)]))),
  ).rejects.toMatchObject(division);
  await expect(transaction(db.kysely, () => Promise.resolve())).rejects.toMatchObject(division);
  expect(events).not.toContain("> INSERT");
  failBegin = false;
  expect(await told()).toBe(before);
  await transaction(db.kysely, (tx) => insert(3).execute(tx));
  expect(await told()).toBe((before ?? 0) + 1);
});
