import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { silentLog } from "../log/log.ts";
import { openDatabase, safeName } from "./database.ts";
import type { Database } from "./database.ts";
import { isDatabaseUnavailable, isTransactionConflict, violatedConstraint } from "./errors.ts";
import { checkSchema, migrate, sqlMigration } from "./migrate.ts";
import { startTestPostgres } from "./testing.ts";
import type { TestPostgres } from "./testing.ts";
import { together } from "./together.ts";
import { snapshot, transaction } from "./transaction.ts";

interface Tables {
  account: { id: number; money: number };
}

const log = silentLog();
const first = {
  "0001_account": sqlMigration("CREATE TABLE account (id int PRIMARY KEY, money int NOT NULL CONSTRAINT account_money CHECK (money >= 0))"),
};

describe("a service's database", () => {
  let server: TestPostgres;
  let admin: Database<Tables>;
  const opened: Database<Tables>[] = [];
  beforeAll(async () => {
    server = await startTestPostgres();
    admin = openDatabase({ url: server.url, log });
  });
  afterEach(async () => {
    for (const db of opened.splice(0)) await db.close();
  });
  afterAll(async () => {
    await admin?.close();
    await server?.stop();
  });
  const open = (role: string): Database<Tables> => {
    const db = openDatabase<Tables>({ url: server.url, role, schema: role, log });
    opened.push(db);
    return db;
  };

  it("is made by migrations that run once, in order, by whoever comes first", async () => {
    const more = { ...first, "0002_second": sqlMigration("ALTER TABLE account ADD note text; CREATE INDEX ON account (note)") };
    const runs = await Promise.all([1, 2, 3].map(() => migrate(admin.kysely, "made", first)));
    expect(runs.flat()).toEqual(["0001_account"]);
    expect(await migrate(admin.kysely, "made", more)).toEqual(["0002_second"]);
    expect(await migrate(admin.kysely, "made", more)).toEqual([]);
    const { rows } = await sql<{
      owner: string;
    }>`SELECT tableowner AS owner FROM pg_tables WHERE schemaname = 'made' AND tablename = 'account'`.execute(admin.kysely);
    expect(rows).toEqual([{ owner: "made" }]);
  });

  it("is migrated however long that takes: the bound of statements is for calls", async () => {
    const hurried = openDatabase<unknown>({ url: server.url, statementTimeoutMs: 200, log: silentLog() });
    const slow = { ...first, "0002_large": sqlMigration("SELECT pg_sleep(0.6)") };
    try {
      // The second one waits for the first, which takes longer than a statement may.
      const runs = await Promise.all([1, 2].map(() => migrate(hurried.kysely, "large", slow)));
      expect(runs.flat().sort()).toEqual(["0001_account", "0002_large"]);
      const { rows } = await sql<{ bound: string }>`SELECT current_setting('statement_timeout') AS bound`.execute(hurried.kysely);
      expect(rows).toEqual([{ bound: "200ms" }]);
    } finally {
      await hurried.close();
    }
  });

  it("stays as it was when a migration fails, and the error says which", async () => {
    const broken = {
      ...first,
      "0002_good": sqlMigration("CREATE TABLE good ()"),
      "0003_bad": sqlMigration("CREATE TABLE bad (x nonsense)"),
    };
    await expect(migrate(admin.kysely, "failing", broken)).rejects.toThrow("migration of failing failed at 0003_bad");
    expect((await sql<{ there: boolean }>`SELECT to_regclass('failing.account') IS NOT NULL AS there`.execute(admin.kysely)).rows).toEqual([
      { there: false },
    ]);
    // The connection that migrated goes back as it came.
    expect((await sql<{ who: string }>`SELECT current_user AS who`.execute(admin.kysely)).rows).toEqual([{ who: "plenum" }]);
  });

  it("is refused when it is older or newer than the build (C17)", async () => {
    await expect(checkSchema(admin.kysely, "nowhere", first)).rejects.toThrow(/lacks 0001_account/);
    await migrate(admin.kysely, "checked", { ...first, "0002_future": sqlMigration("SELECT 1") });
    await expect(checkSchema(admin.kysely, "checked", first)).rejects.toThrow(/0002_future, which this build does not know/);
    await expect(migrate(admin.kysely, "checked", first)).rejects.toThrow(/0002_future, which this build does not know: run a newer build/);
    const db = open("checked");
    await expect(checkSchema(db.kysely, "checked", { ...first, "0002_future": sqlMigration("SELECT 1") })).resolves.toBeUndefined();
  });

  it("is closed to other services (C17)", async () => {
    await migrate(admin.kysely, "mine", first);
    await migrate(admin.kysely, "other", {});
    expect((await open("mine").kysely.selectFrom("account").selectAll().execute()).length).toBe(0);
    await expect(sql`SELECT * FROM mine.account`.execute(open("other").kysely)).rejects.toMatchObject({ code: "42501" });
  });

  it("repeats a transaction that lost to another, so that no change is lost", async () => {
    await migrate(admin.kysely, "bank", first);
    const { kysely } = open("bank");
    await kysely.insertInto("account").values({ id: 1, money: 0 }).execute();
    let runs = 0;
    const deposit = () =>
      transaction(
        kysely,
        async (tx) => {
          runs += 1;
          const { money } = await tx.selectFrom("account").select("money").where("id", "=", 1).executeTakeFirstOrThrow();
          await tx
            .updateTable("account")
            .set({ money: money + 1 })
            .where("id", "=", 1)
            .execute();
        },
        { isolation: "serializable", attempts: 50 },
      );
    await Promise.all(Array.from({ length: 8 }, deposit));
    expect(await kysely.selectFrom("account").select("money").execute()).toEqual([{ money: 8 }]);
    expect(runs).toBeGreaterThan(8); // some did lose
  });

  it("repeats after a deadlock, and gives up after its attempts with the database's error", async () => {
    await migrate(admin.kysely, "locked", first);
    const { kysely } = open("locked");
    await kysely
      .insertInto("account")
      .values([
        { id: 1, money: 0 },
        { id: 2, money: 0 },
      ])
      .execute();
    const bothHold = Promise.withResolvers<void>();
    let holding = 0;
    let runs = 0;
    const inOrder = (one: number, two: number) =>
      transaction(kysely, async (tx) => {
        runs += 1;
        await sql`UPDATE account SET money = money + 1 WHERE id = ${one}`.execute(tx);
        holding += 1;
        if (holding === 2) bothHold.resolve();
        await bothHold.promise;
        await sql`UPDATE account SET money = money + 1 WHERE id = ${two}`.execute(tx);
      });
    await Promise.all([inOrder(1, 2), inOrder(2, 1)]);
    expect(runs).toBeGreaterThan(2); // one of them lost; on a busy machine both may
    expect(await kysely.selectFrom("account").select("money").execute()).toEqual([{ money: 2 }, { money: 2 }]);

    runs = 0;
    const hopeless = transaction(kysely, () => {
      runs += 1;
      return Promise.reject(Object.assign(new Error("lost"), { code: "40001" }));
    });
    const error: unknown = await hopeless.catch((thrown: unknown) => thrown);
    expect(isTransactionConflict(error)).toBe(true);
    expect(runs).toBe(6);
  });

  it("lets go of what a process holds that hangs, before those who wait for it give up", async () => {
    const { rows } = await sql<{ before: boolean }>`
      SELECT current_setting('idle_in_transaction_session_timeout')::interval BETWEEN interval '1 second'
             AND current_setting('statement_timeout')::interval / 2 AS before`.execute(admin.kysely);
    expect(rows).toEqual([{ before: true }]);
  });

  it("shows one moment to all reads of a snapshot, and lets it write nothing", async () => {
    await migrate(admin.kysely, "views", first);
    const { kysely } = open("views");
    await kysely.insertInto("account").values({ id: 1, money: 1 }).execute();
    const seen = await snapshot(kysely, async (tx) => {
      const before = await tx.selectFrom("account").select("money").executeTakeFirstOrThrow();
      await kysely.updateTable("account").set({ money: 2 }).execute();
      return [before.money, (await tx.selectFrom("account").select("money").executeTakeFirstOrThrow()).money];
    });
    expect(seen).toEqual([1, 1]);
    await expect(snapshot(kysely, (tx) => tx.updateTable("account").set({ money: 3 }).execute())).rejects.toMatchObject({ code: "25006" });
  });

  it("sends statements together that wait for no answer between them, each seeing what those before it did", async () => {
    const db = openDatabase<Tables>({ url: server.url, log });
    opened.push(db);
    await sql`CREATE TABLE told (id int PRIMARY KEY)`.execute(db.kysely);
    const insert = (id: number) => sql`INSERT INTO told VALUES (${id})`;
    const count = sql<{ told: number }>`SELECT count(*)::int AS told, ${"now"} AS at FROM told`;
    const counted = await transaction(db.kysely, async (tx) => {
      const answers: string[] = [];
      const noted = <T>(name: string, answer: Promise<T>): Promise<T> => {
        void answer.then(() => answers.push(name));
        return answer;
      };
      const [, one, , two] = await together(tx, (all) => {
        const sent = [insert(1).execute(all), count.execute(all), insert(2).execute(all), count.execute(all)] as const;
        void noted("last", sent[3]);
        // Sent while the others are under way: after them.
        return Promise.all([...sent, noted("own", count.execute(tx))]);
      });
      expect(answers).toEqual(["last", "own"]);
      return [one.rows[0]?.told, two.rows[0]?.told];
    });
    expect(counted).toEqual([1, 2]);
    await expect(
      transaction(db.kysely, (tx) =>
        together(tx, (all) => Promise.all([insert(3).execute(all), insert(1).execute(all), insert(4).execute(all), count.execute(all)])),
      ),
    ).rejects.toMatchObject({ code: "23505" }); // the one that broke it, not those that came too late
    expect((await count.execute(db.kysely)).rows[0]?.told).toBe(2);
  });

  it("prepares what it runs, and prepares it anew when tables are others, inside a transaction and outside", async () => {
    await migrate(admin.kysely, "prepared", first);
    const db = open("prepared");
    await sql`INSERT INTO account VALUES (1, 10)`.execute(db.kysely);
    const read = (on: typeof db.kysely) => sql<Record<string, unknown>>`SELECT * FROM account WHERE id = ${1}`.execute(on);
    for (let run = 0; run < 8; run += 1) expect((await read(db.kysely)).rows).toEqual([{ id: 1, money: 10 }]);
    const { rows } = await sql<{ runs: number }>`
      SELECT (generic_plans + custom_plans)::int AS runs FROM pg_prepared_statements WHERE statement LIKE 'SELECT * FROM account%'`.execute(
      db.kysely,
    );
    expect(rows).toEqual([{ runs: 8 }]);
    const widen = (column: string) => sql`ALTER TABLE prepared.account ADD ${sql.ref(column)} int DEFAULT 7`.execute(admin.kysely);
    await widen("a");
    expect((await read(db.kysely)).rows).toEqual([{ id: 1, money: 10, a: 7 }]);
    await widen("b");
    expect(await transaction(db.kysely, async (tx) => (await read(tx)).rows)).toEqual([{ id: 1, money: 10, a: 7, b: 7 }]);
    await widen("c");
    expect(await snapshot(db.kysely, async (tx) => (await read(tx)).rows)).toEqual([{ id: 1, money: 10, a: 7, b: 7, c: 7 }]);
    await sql`DEALLOCATE ALL`.execute(db.kysely);
    expect((await read(db.kysely)).rows).toHaveLength(1);
  });

  it("prepares a bounded number of texts", async () => {
    const db = openDatabase<Tables>({ url: server.url, log, connections: 1 });
    opened.push(db);
    for (let n = 0; n < 1_100; n += 1) await sql`SELECT ${n}::int AS ${sql.ref(`n${n}`)}`.execute(db.kysely);
    const { rows } = await sql<{ held: number }>`SELECT count(*)::int AS held FROM pg_prepared_statements`.execute(db.kysely);
    expect(rows).toEqual([{ held: 1_000 }]);
  });

  it("names a broken constraint", async () => {
    await migrate(admin.kysely, "rules", first);
    const { kysely } = open("rules");
    const broken = (values: { id: number; money: number }) =>
      kysely
        .insertInto("account")
        .values(values)
        .execute()
        .then(() => undefined, violatedConstraint);
    await kysely.insertInto("account").values({ id: 1, money: 0 }).execute();
    expect(await broken({ id: 1, money: 0 })).toEqual({ state: "23505", constraint: "account_pkey" });
    expect(await broken({ id: 2, money: -1 })).toEqual({ state: "23514", constraint: "account_money" });
    expect(violatedConstraint(new Error("x"))).toBeUndefined();
  });

  it("is unavailable, and not a bug, when it is away", async () => {
    const gone = openDatabase<Tables>({ url: "postgres://plenum@localhost/postgres?host=%2Fnonexistent", log });
    opened.push(gone);
    const error: unknown = await gone.kysely
      .selectFrom("account")
      .selectAll()
      .execute()
      .catch((thrown: unknown) => thrown);
    expect(isDatabaseUnavailable(error)).toBe(true);
    const db = open("made");
    const waiting = sql`SELECT pg_sleep(20)`.execute(db.kysely).catch((thrown: unknown) => thrown);
    await expect
      .poll(
        async () =>
          (
            await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(20)%' AND pid <> pg_backend_pid()`.execute(
              admin.kysely,
            )
          ).rows.length,
      )
      .toBe(1);
    expect(isDatabaseUnavailable(await waiting)).toBe(true);
    // The next statement may still meet the dying connection; the one after it gets a new one.
    await expect
      .poll(() => sql<{ one: number }>`SELECT 1 AS one`.execute(db.kysely).then(({ rows }) => rows, isDatabaseUnavailable))
      .toEqual([{ one: 1 }]);
  });

  it("takes only plain names into its SQL", () => {
    expect(safeName("coordinator_feed")).toBe("coordinator_feed");
    for (const name of ["", "A", "a-b", "a;b", '"a"', "1a", "a".repeat(64)]) expect(() => safeName(name)).toThrow(/plain/);
  });
});
