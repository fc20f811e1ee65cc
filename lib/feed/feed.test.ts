import { sql } from "kysely";
import type { Transaction } from "kysely";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MemoryHub } from "../bus/memory.ts";
import { openDatabase } from "../db/database.ts";
import type { Database } from "../db/database.ts";
import { migrate, sqlMigration } from "../db/migrate.ts";
import { startTestPostgres } from "../db/testing.ts";
import type { TestPostgres } from "../db/testing.ts";
import { transaction } from "../db/transaction.ts";
import { silentLog } from "../log/log.ts";
import {
  appendChanges,
  changesSince,
  createScopeReader,
  feedMarks,
  feedMigration,
  newestChanges,
  publishHints,
  trimChanges,
} from "./feed.ts";
import type { AppendedChange, FollowOptions, Follower, ScopeReader } from "./feed.ts";

interface Tables {
  item: { scope: string; key: string; value: number };
}

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const decode = (bytes: Uint8Array): [string, number][] => JSON.parse(new TextDecoder().decode(bytes)) as [string, number][];

/** A copy of one scope's items, kept by following. */
function copyOf(scope: string) {
  const state = new Map<string, number>();
  const events: string[] = [];
  const options: FollowOptions<Tables, [string, number][]> = {
    snapshot: async (tx) =>
      (await tx.selectFrom("item").selectAll().where("scope", "=", scope).execute()).map((row) => [row.key, row.value]),
    onSnapshot: (items, version) => {
      state.clear();
      for (const [key, value] of items) state.set(key, value);
      events.push(`snapshot ${version}`);
    },
    onInSync: (version) => void events.push(`in sync ${version}`),
    onDelta: ({ version, payload }) => {
      for (const [key, value] of decode(payload)) state.set(key, value);
      events.push(`delta ${version}`);
    },
  };
  return { state, events, options };
}

describe("the feed", () => {
  let server: TestPostgres;
  let admin: Database<Tables>;
  let db: Database<Tables>;
  let hub: MemoryHub;
  let closers: (() => Promise<void>)[];
  let run = 0;

  beforeAll(async () => {
    server = await startTestPostgres();
    admin = openDatabase({ url: server.url, log: silentLog() });
    await migrate(admin.kysely, "shop", {
      "0001_feed": feedMigration("shop"),
      "0002_marks": feedMarks("shop"),
      "0003_item": sqlMigration("CREATE TABLE item (scope text, key text, value int NOT NULL, PRIMARY KEY (scope, key))"),
    });
    db = openDatabase({ url: server.url, role: "shop", schema: "shop", log: silentLog() });
  });
  afterAll(async () => {
    await db?.close();
    await admin?.close();
    await server?.stop();
  });
  beforeEach(() => {
    hub = new MemoryHub();
    closers = [];
    run += 1;
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  const bus = () => hub.connect(silentLog());

  function reader(checkEveryMs = 20): ScopeReader<Tables> {
    const made = createScopeReader({ db: db.kysely, schema: "shop", bus: bus(), log: silentLog(), checkEveryMs });
    closers.push(() => made.close());
    return made;
  }

  const put = async (tx: Transaction<Tables>, changes: Record<string, [string, number][]>): Promise<AppendedChange[]> => {
    for (const [scope, items] of Object.entries(changes)) {
      for (const [key, value] of items) {
        await sql`INSERT INTO item VALUES (${scope}, ${key}, ${value}) ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value`.execute(
          tx,
        );
      }
    }
    return appendChanges(
      tx,
      Object.entries(changes).map(([scope, items]) => ({ scope, payload: encode(items) })),
    );
  };
  const write = (changes: Record<string, [string, number][]>): Promise<AppendedChange[]> =>
    transaction(db.kysely, (tx) => put(tx, changes));

  const table = async (scope: string): Promise<Map<string, number>> =>
    new Map((await db.kysely.selectFrom("item").selectAll().where("scope", "=", scope).execute()).map((row) => [row.key, row.value]));

  it("starts with a snapshot, says in sync once, then takes hints without reading the log", async () => {
    const scope = `network:n${run}`;
    const sender = bus();
    await write({ [scope]: [["a", 1]] });
    const copy = copyOf(scope);
    const follower = reader(60_000);
    follower.follow(scope, copy.options);
    await expect.poll(() => copy.events).toEqual(["snapshot 1", "in sync 1"]);
    publishHints(sender, await write({ [scope]: [["b", 2]] }));
    publishHints(sender, await write({ [scope]: [["a", 3]] }));
    await expect.poll(() => copy.events).toEqual(["snapshot 1", "in sync 1", "delta 2", "delta 3"]);
    expect(copy.state).toEqual(
      new Map([
        ["a", 3],
        ["b", 2],
      ]),
    );
    expect(follower.stats()).toMatchObject({ snapshots: 1, hints: 2, rows: 0 });
  });

  it("reads the log when every hint is lost, and when one is", async () => {
    const scope = `network:n${run}`;
    const sender = bus();
    const copy = copyOf(scope);
    const following = reader();
    following.follow(scope, copy.options);
    await expect.poll(() => copy.events).toEqual(["snapshot 0", "in sync 0"]);
    await write({ [scope]: [["a", 1]] });
    await expect.poll(() => copy.events.at(-1)).toBe("delta 1");
    await write({ [scope]: [["a", 2]] });
    publishHints(sender, await write({ [scope]: [["a", 3]] }));
    await expect.poll(() => copy.events).toEqual(["snapshot 0", "in sync 0", "delta 1", "delta 2", "delta 3"]);
  });

  it("goes on from a version, and says so when the history is gone", async () => {
    const scope = `network:n${run}`;
    for (const value of [1, 2, 3]) await write({ [scope]: [["a", value]] });
    const resumed = copyOf(scope);
    reader().follow(scope, { ...resumed.options, from: 1n });
    await expect.poll(() => resumed.events).toEqual(["delta 2", "delta 3", "in sync 3"]);

    expect(await trimChanges(db.kysely, 0)).toBeGreaterThanOrEqual(3n);
    const late = copyOf(scope);
    const follower = reader().follow(scope, { ...late.options, from: 1n, onHistoryGone: () => void late.events.push("gone") });
    await follower.done;
    expect(late.events).toEqual(["gone"]);

    const restarting = copyOf(scope);
    reader().follow(scope, { ...restarting.options, from: 1n });
    await expect.poll(() => restarting.events).toEqual(["snapshot 3", "in sync 3"]);

    const ahead = copyOf(scope); // a version that this database never had
    reader().follow(scope, { ...ahead.options, from: 99n });
    await expect.poll(() => ahead.events).toEqual(["snapshot 3", "in sync 3"]);
  });

  /** What a backup put back does: the newest change never was. */
  const setBack = async (tx: Transaction<Tables>, scope: string): Promise<void> => {
    await sql`UPDATE scope SET version = version - 1, mark = prev_mark WHERE scope = ${scope}`.execute(tx);
    await sql`DELETE FROM change USING scope WHERE change.scope = ${scope} AND scope.scope = change.scope AND change.version > scope.version`.execute(
      tx,
    );
  };

  it("knows a version of a database that was set back and went on to the same number", async () => {
    const scope = `network:n${run}`;
    for (const value of [1, 2, 3]) await write({ [scope]: [["a", value]] });
    const copy = copyOf(scope);
    const marks: bigint[] = [];
    reader().follow(scope, { ...copy.options, onInSync: (_version, mark) => void marks.push(mark) });
    await expect.poll(() => marks).toHaveLength(1);
    // Between two looks: afterwards the version is what it was.
    await transaction(db.kysely, async (tx) => {
      await setBack(tx, scope);
      await put(tx, { [scope]: [["b", 7]] });
    });
    await expect.poll(() => copy.state.get("b")).toBe(7);
    await expect.poll(() => marks).toHaveLength(2);
    expect(new Set(marks).size).toBe(2);

    const resumed = copyOf(scope);
    const from = { from: 3n, mark: marks[0] };
    const follower = reader().follow(scope, { ...resumed.options, ...from, onHistoryGone: () => void resumed.events.push("gone") });
    await follower.done;
    expect(resumed.events).toEqual(["gone"]);
    const own = copyOf(scope);
    reader().follow(scope, { ...own.options, from: 3n, mark: marks[1] });
    await expect.poll(() => own.events).toEqual(["in sync 3"]);
  });

  it("takes no hint of another database for one of its own", async () => {
    const scope = `network:n${run}`;
    for (const value of [1, 2]) await write({ [scope]: [["a", value]] });
    const copy = copyOf(scope);
    reader(60_000).follow(scope, copy.options);
    await expect.poll(() => copy.events.at(-1)).toBe("in sync 2");
    await transaction(db.kysely, (tx) => setBack(tx, scope));
    await write({ [scope]: [["b", 1]] });
    publishHints(bus(), await write({ [scope]: [["c", 1]] })); // version 3, on top of another 2
    await expect.poll(() => copy.events.at(-1)).toBe("in sync 3");
    expect(copy.state).toEqual(await table(scope));
  });

  it("hands over all that there is when asked to catch up, and does not keep waiting whoever asks at the end", async () => {
    const scope = `network:n${run}`;
    const copy = copyOf(scope);
    const follower = reader(60_000).follow(scope, copy.options);
    await follower.catchUp();
    expect(copy.events).toEqual(["snapshot 0", "in sync 0"]);
    for (const value of [1, 2, 3]) await write({ [scope]: [["a", value]] });
    await Promise.all([follower.catchUp(), follower.catchUp()]);
    expect(copy.events.at(-1)).toBe("delta 3");
    follower.close();
    await follower.done;
    await follower.catchUp();
  });

  it("tells what a transaction may resume from: all of it or nothing, of one moment", async () => {
    const scope = `network:n${run}`;
    const marks = [0n];
    for (let value = 1; value <= 600; value += 1) {
      const [one] = await transaction(db.kysely, (tx) => appendChanges(tx, [{ scope, payload: encode([["a", value]]) }]));
      marks.push(one?.mark ?? -1n);
    }
    const since = (version: number, most = 1_000, mark = marks[version] ?? -1n) =>
      transaction(db.kysely, (tx) => changesSince(tx, "shop", scope, { version: BigInt(version), mark }, most));
    expect((await since(0))?.map(({ mark }) => mark)).toEqual(marks.slice(1));
    expect(await since(600)).toEqual([]);
    expect((await since(590))?.map(({ version }) => version)).toEqual([591n, 592n, 593n, 594n, 595n, 596n, 597n, 598n, 599n, 600n]);
    expect(await since(100, 499)).toBeUndefined();
    expect(await since(590, 1_000, 1n)).toBeUndefined();
    expect(await since(601)).toBeUndefined();
    const newest = (changes: number, octets: number) =>
      transaction(db.kysely, async (tx) => (await newestChanges(tx, "shop", scope, { changes, octets })).map(({ version }) => version));
    expect(await newest(3, 10_000)).toEqual([598n, 599n, 600n]);
    expect(await newest(100, 25)).toEqual([599n, 600n]); // 11 octets each
    expect(await newest(100, 0)).toEqual([]);
  });

  it("ends with what a callback threw, and leaves the others alone", async () => {
    const scope = `network:n${run}`;
    const copy = copyOf(scope);
    const following = reader();
    const failing = following.follow(scope, {
      ...copyOf(scope).options,
      onDelta: () => {
        throw new Error("cannot");
      },
    });
    following.follow(scope, copy.options);
    await write({ [scope]: [["a", 1]] });
    await expect(failing.done).rejects.toThrow("cannot");
    await expect.poll(() => copy.state).toEqual(new Map([["a", 1]]));
    expect(following.stats().followers).toBe(1);
  });

  it("writes nothing of a transaction that fails, and leaves no gap", async () => {
    const scope = `network:n${run}`;
    await expect(
      transaction(db.kysely, async (tx) => {
        await put(tx, { [scope]: [["a", 1]] });
        throw new Error("rolled back");
      }),
    ).rejects.toThrow("rolled back");
    expect((await write({ [scope]: [["a", 2]] })).map(({ version }) => version)).toEqual([1n]);
  });

  it("refuses a scope twice in one transaction, and one without a kind", async () => {
    const twice = [
      { scope: "network:a", payload: encode([]) },
      { scope: "network:a", payload: encode([]) },
    ];
    await expect(transaction(db.kysely, (tx) => appendChanges(tx, twice))).rejects.toThrow(/twice/);
    await expect(transaction(db.kysely, (tx) => appendChanges(tx, [{ scope: "network", payload: encode([]) }]))).rejects.toThrow(
      /<kind>:<id>/,
    );
  });

  it("keeps every copy equal to the table under concurrent writers, lost, doubled and late hints, and restarts", async () => {
    const scopes = [1, 2, 3].map((n) => `network:c${run}x${n}`);
    hub.fate = () => (["lose", "twice", "late", "deliver", "deliver"] as const)[Math.floor(Math.random() * 5)] ?? "deliver";
    const following = reader();
    const copies = scopes.map((scope) => ({ scope, copy: copyOf(scope), follower: undefined as Follower | undefined }));
    const start = (one: (typeof copies)[number], from?: bigint): void => {
      one.follower = following.follow(one.scope, { ...one.copy.options, from });
    };
    for (const one of copies) start(one);
    let writing = true;
    const writers = [1, 2, 3, 4].map(async (writer) => {
      const sender = bus();
      for (let turn = 0; turn < 40; turn += 1) {
        // In any order on purpose: the function sorts, so that nobody deadlocks.
        const chosen = scopes.filter(() => Math.random() < 0.6).sort(() => Math.random() - 0.5);
        const changes = Object.fromEntries(chosen.map((scope) => [scope, [[`k${turn % 5}w${writer}`, turn]] as [string, number][]]));
        publishHints(sender, await write(changes));
      }
    });
    const restarts = (async () => {
      while (writing) {
        for (const one of copies) {
          await new Promise((resolve) => setTimeout(resolve, 15)); // the moment of a restart is the test's random input
          one.follower?.close();
          await one.follower?.done;
          start(one, Math.random() < 0.5 ? one.follower?.version : undefined);
        }
      }
    })();
    await Promise.all(writers);
    writing = false;
    await restarts;
    for (const { scope, copy } of copies) {
      const expected = await table(scope);
      await expect.poll(() => copy.state, { timeout: 5_000 }).toEqual(expected);
      const versions = await sql<{ version: bigint }>`SELECT version FROM change WHERE scope = ${scope} ORDER BY version`.execute(
        db.kysely,
      );
      expect(versions.rows.map((row) => row.version)).toEqual(versions.rows.map((_, index) => BigInt(index + 1)));
    }
    const { hints, rows } = following.stats();
    expect(hints).toBeGreaterThan(0); // both ways were taken
    expect(rows).toBeGreaterThan(0);
  });
});
