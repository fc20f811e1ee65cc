import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MemoryHub } from "#lib/bus/memory.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { startTestPostgres } from "#lib/db/testing.ts";
import type { TestPostgres } from "#lib/db/testing.ts";
import { feedMarks } from "#lib/feed/feed.ts";
import { silentLog } from "#lib/log/log.ts";
import type { Caller } from "#lib/rpc/caller.ts";
import { PlenumError } from "#lib/rpc/errors.ts";
import { callMigrations, createCalls, openPage, openSharedPageTokens, SCHEMA } from "../api.ts";
import type { Calls, ResourceGrant, ResourceRef, Standing, WriteCall } from "../api.ts";

const METHOD = "/test.Service/Make";
const ACTION = "test:Make";
const owner: Caller = { kind: "account", principalId: "alice", accountId: "acct-a", roles: ["owner"] };
const stranger: Caller = { kind: "account", principalId: "bob", accountId: "acct-b", roles: ["owner"] };
const viewer: Caller = { kind: "account", principalId: "eve", accountId: "acct-a", roles: ["viewer"] };
const thing: ResourceRef = { kind: "thing", id: "thing-1", ownerAccount: "acct-a" };
const codec = { encode: (text: string) => Buffer.from(text), decode: (bytes: Uint8Array) => Buffer.from(bytes).toString() };

let postgres: TestPostgres;
let db: Database<unknown>;
let calls: Calls;
let hub: MemoryHub;
let grants: Map<string, ResourceGrant[]>;
/** Consents that were taken back after they were read. */
let revoked: Set<string>;
let standings: Map<string, Standing>;

beforeAll(async () => {
  postgres = await startTestPostgres();
  const log = silentLog();
  const admin = openDatabase<unknown>({ url: postgres.url, log });
  // The log's marks are made with the views of the feed, whose module comes later.
  await migrate(admin.kysely, SCHEMA, { ...callMigrations, "0035_feed_marks": feedMarks(SCHEMA) });
  await admin.close();
  db = openDatabase<unknown>({ url: postgres.url, role: SCHEMA, schema: SCHEMA, connections: 20, log });
  await sql`CREATE TABLE made (name text)`.execute(db.kysely);
  hub = new MemoryHub();
  calls = createCalls({
    db: db.kysely,
    bus: hub.connect(log),
    grants: () => Promise.resolve(grants),
    hold: (_tx, ids, own) => Promise.resolve(new Set([...ids.filter((id) => !revoked.has(id)), ...own])),
    standing: ({ principalId }) => sql<Standing | null>`SELECT ${standings.get(principalId) ?? null}::text`,
    log,
  });
});
afterAll(async () => {
  await db?.close();
  await postgres?.stop();
});
beforeEach(async () => {
  grants = new Map();
  revoked = new Set();
  standings = new Map();
  await sql`TRUNCATE made, audit_entry, idempotency, scope, change`.execute(db.kysely);
});

const make =
  (name: string, resource = thing) =>
  async (call: WriteCall): Promise<string> => {
    call.require(ACTION, resource);
    await sql`INSERT INTO made VALUES (${name})`.execute(call.tx);
    return name;
  };
const write = (caller: Caller, name: string, requestId = "", resource = thing) =>
  calls.write({ caller, method: METHOD }, { action: ACTION, requestId, request: { name }, ...codec }, make(name, resource));
const made = async (): Promise<string[]> =>
  (await sql<{ name: string }>`SELECT name FROM made ORDER BY name`.execute(db.kysely)).rows.map((row) => row.name);
const audit = async () =>
  (
    await sql<{ principal_id: string; action: string; resource_id: string; allowed: boolean; hidden: boolean; reason: string }>`
      SELECT principal_id, action, resource_id, allowed, hidden, reason FROM audit_entry ORDER BY entry_id`.execute(db.kysely)
  ).rows;
const reason = async (call: Promise<unknown>): Promise<string> => {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof PlenumError) return error.reason;
  throw new Error("was not refused", { cause: error });
};

describe("a write", () => {
  it("commits with its audit, or leaves nothing of either", async () => {
    await write(owner, "one");
    const failing = calls.write({ caller: owner, method: METHOD }, { action: ACTION }, async (call) => {
      await make("two")(call);
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await made()).toEqual(["one"]);
    expect(await audit()).toEqual([
      { principal_id: "alice", action: ACTION, resource_id: "thing-1", allowed: true, hidden: false, reason: "owner" },
    ]);
  });

  it("that is refused leaves an entry and nothing else; the visible one names it", async () => {
    expect(await reason(write(stranger, "one"))).toBe("RESOURCE_NOT_FOUND");
    const error = await write(viewer, "two").catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: "NOT_ALLOWED", facts: { action: ACTION } });
    expect(await made()).toEqual([]);
    expect(await audit()).toMatchObject([
      { principal_id: "bob", allowed: false, hidden: true, reason: "default deny" },
      { principal_id: "eve", allowed: false, hidden: false, reason: "viewers-only-read" },
    ]);
    const { rows } = await sql<{ id: string }>`SELECT entry_id AS id FROM audit_entry WHERE NOT hidden`.execute(db.kysely);
    expect((error as PlenumError).facts["decision_id"]).toBe(rows[0]?.id);
  });

  it("rests on consents that stand at its commit: one taken back meanwhile undoes it", async () => {
    const granted: ResourceRef = { ...thing, grants: [{ accountId: "acct-b", action: ACTION, consentId: "cons-1" }] };
    await write(stranger, "one", "", granted);
    revoked.add("cons-1");
    expect(await reason(write(stranger, "two", "", granted))).toBe("RESOURCE_NOT_FOUND");
    expect(await made()).toEqual(["one"]);
    expect((await audit()).map((row) => row.reason)).toEqual(["grantee-acts", "default deny"]);
    const other: ResourceRef = {
      ...thing,
      grants: [...(granted.grants ?? []), { accountId: "acct-b", action: ACTION, consentId: "cons-2" }],
    };
    await write(stranger, "three", "", other);
    expect(await made()).toEqual(["one", "three"]);
  });

  it("is no more than its principal may be now", async () => {
    standings.set("alice", "viewer");
    expect(await reason(write(owner, "one"))).toBe("NOT_ALLOWED");
    standings.set("alice", "disabled");
    expect(await reason(write(owner, "two"))).toBe("PRINCIPAL_DISABLED");
    const looking = calls.read({ caller: owner, method: METHOD }, ACTION, () => Promise.resolve("seen"));
    expect(await reason(looking)).toBe("PRINCIPAL_DISABLED");
    standings.set("alice", "owner");
    await write(owner, "three");
    expect(await made()).toEqual(["three"]);
    expect((await audit()).map((row) => row.reason)).toEqual(["viewers-only-read", "principal disabled", "principal disabled", "owner"]);
  });

  it("is nobody's without a caller", async () => {
    const nobody: Caller = { kind: "anonymous", principalId: "", accountId: "", roles: [] };
    expect(await reason(write(nobody, "one"))).toBe("NO_VALID_TOKEN");
  });

  it("is audited under what it made, and once per thing however often it asked", async () => {
    await calls.write({ caller: owner, method: METHOD }, { action: ACTION }, async (call) => {
      for (let index = 0; index < 3; index += 1) call.require(ACTION, thing);
      await make("x")(call);
      call.concerns({ kind: "thing", id: "thing-2", ownerAccount: "acct-a" });
      return "";
    });
    await write(owner, "y");
    expect((await audit()).map((row) => row.resource_id)).toEqual(["thing-2", "thing-1"]);
  });

  it("runs again after losing a deadlock, and keeps nothing of the lost run", async () => {
    await sql`INSERT INTO made VALUES ('a'), ('b')`.execute(db.kysely);
    let firstRuns = 0;
    const touch = (names: string[]) => async (call: WriteCall) => {
      firstRuns += 1;
      call.require(ACTION, thing);
      for (const name of names) {
        await sql`UPDATE made SET name = name WHERE name = ${name}`.execute(call.tx);
        await sql`SELECT pg_sleep(0.1)`.execute(call.tx);
      }
      call.change(`thing:${names.join("")}`, Buffer.from("x"));
    };
    const both = [
      ["a", "b"],
      ["b", "a"],
    ].map((names) => calls.write({ caller: owner, method: METHOD }, { action: ACTION }, touch(names)));
    const done = await Promise.all(both);
    expect(done.map(({ versions }) => [...versions.values()])).toEqual([[1n], [1n]]);
    expect(firstRuns).toBeGreaterThan(2);
    expect(await audit()).toHaveLength(2);
  });
});

describe("changes", () => {
  it("of one scope become one version with all items, and the hint follows the commit", async () => {
    const hints: string[] = [];
    const subscription = hub.connect(silentLog()).subscribe("plenum.int.hint.>", ({ subject }) => hints.push(subject));
    const after: [string, bigint][] = [];
    const { versions } = await calls.write({ caller: owner, method: METHOD }, { action: ACTION }, (call) => {
      call.require(ACTION, thing);
      call.change("network:2", Buffer.from("a"));
      call.change("host:1", Buffer.from("x"));
      call.change("network:2", Buffer.from("b"));
      call.afterCommit((committed) => after.push(...committed));
      call.afterCommit(() => {
        throw new Error("must not harm the call");
      });
      return Promise.resolve("");
    });
    expect([...versions].sort()).toEqual([
      ["host:1", 1n],
      ["network:2", 1n],
    ]);
    const { rows } = await sql<{ scope: string; payload: Buffer }>`SELECT scope, payload FROM change ORDER BY scope`.execute(db.kysely);
    expect(rows.map((row) => [row.scope, row.payload.toString()])).toEqual([
      ["host:1", "x"],
      ["network:2", "ab"],
    ]);
    expect(after.sort()).toEqual([
      ["host:1", 1n],
      ["network:2", 1n],
    ]);
    await expect.poll(() => hints.toSorted()).toEqual(["plenum.int.hint.host", "plenum.int.hint.network"]);
    subscription.unsubscribe();
  });

  it("are dense under concurrency", async () => {
    const many = Array.from({ length: 30 }, () =>
      calls.internal((call) => {
        call.change("network:7", Buffer.from("a"));
        return Promise.resolve("");
      }),
    );
    const versions = (await Promise.all(many)).map((written) => Number(written.versions.get("network:7")));
    expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    expect(await audit()).toEqual([]);
  });
});

describe("a repeat", () => {
  it("is answered as the first call was, and does nothing", async () => {
    const first = await write(owner, "one", "r1");
    const again = await write(owner, "one", "r1");
    expect([first.repeated, again.repeated, again.result]).toEqual([false, true, "one"]);
    expect(await made()).toEqual(["one"]);
    expect(await audit()).toHaveLength(1);
  });

  it("with another request is refused; of another principal or method it is no repeat", async () => {
    await write(owner, "one", "r1");
    expect(await reason(write(owner, "two", "r1"))).toBe("REQUEST_ID_REUSED");
    await write({ ...owner, principalId: "carol" }, "three", "r1");
    await calls.write(
      { caller: owner, method: "/other" },
      { action: ACTION, requestId: "r1", request: { name: "four" }, ...codec },
      make("four"),
    );
    expect(await made()).toEqual(["four", "one", "three"]);
  });

  it("that runs at the same time waits for the first: one effect, equal answers", async () => {
    const all = await Promise.all(Array.from({ length: 12 }, () => write(owner, "one", "r1")));
    expect(all.filter((written) => !written.repeated)).toHaveLength(1);
    expect(new Set(all.map((written) => written.result))).toEqual(new Set(["one"]));
    expect(await made()).toEqual(["one"]);
  });

  it("of a failed call runs: failures are not kept", async () => {
    expect(await reason(write(viewer, "one", "r1"))).toBe("NOT_ALLOWED");
    const failing = calls.write(
      { caller: owner, method: METHOD },
      { action: ACTION, requestId: "r1", request: { name: "one" }, ...codec },
      () => Promise.reject(new Error("no")),
    );
    await expect(failing).rejects.toThrow("no");
    expect((await write(owner, "one", "r1")).repeated).toBe(false);
  });

  it("is decided again: who lost the grant gets no old answer", async () => {
    const grant = { accountId: "acct-b", action: ACTION, consentId: "cons-1" };
    grants.set(thing.id, [grant]);
    await write(stranger, "one", "r1", { ...thing, grants: [grant] });
    expect((await write(stranger, "one", "r1")).repeated).toBe(true);
    grants.clear();
    expect(await reason(write(stranger, "one", "r1"))).toBe("RESOURCE_NOT_FOUND");
    expect((await audit()).at(-1)).toMatchObject({ principal_id: "bob", allowed: false });
  });

  it("a day later is a new call", async () => {
    await write(owner, "one", "r1");
    await sql`UPDATE idempotency SET create_time = now() - interval '25 hours'`.execute(db.kysely);
    expect((await write(owner, "two", "r1")).repeated).toBe(false);
    await sql`UPDATE idempotency SET create_time = now() - interval '25 hours'`.execute(db.kysely);
    await calls.sweep();
    const { rows } = await sql`SELECT 1 FROM idempotency`.execute(db.kysely);
    expect(rows).toEqual([]);
  });

  it("has an id of at most 128 printable characters", async () => {
    expect(await reason(write(owner, "one", "r".repeat(129)))).toBe("INVALID_FIELD");
    expect(await reason(write(owner, "one", "a\0b"))).toBe("INVALID_FIELD");
  });
});

describe("a read", () => {
  it("cannot write", async () => {
    const writing = calls.read({ caller: owner, method: METHOD }, ACTION, (call) => sql`INSERT INTO made VALUES ('x')`.execute(call.tx));
    await expect(writing).rejects.toThrow(/read-only transaction/);
  });

  it("of what is another's is not found, and the owner can know", async () => {
    const look = calls.read({ caller: stranger, method: METHOD }, "test:Get", (call) => Promise.resolve(call.requireSee(thing)));
    expect(await reason(look)).toBe("RESOURCE_NOT_FOUND");
    expect(await audit()).toMatchObject([{ principal_id: "bob", action: "test:Get", allowed: false, hidden: true }]);
  });
});

describe("a read by one statement", () => {
  const query = sql<{ name: string | null }>`SELECT name FROM made`;
  const read = (caller: Caller, resource = thing) =>
    calls.readAtOnce({ caller, method: METHOD }, "test:Get", query, (sight, rows) => {
      sight.requireSee(resource);
      return { role: sight.subject.role, names: rows.map((row) => row.name) };
    });

  it("answers what is there and what the caller may be at that moment; nothing is a row of nulls", async () => {
    expect(await read(owner)).toEqual({ role: "owner", names: [null] });
    await write(owner, "one");
    standings.set("alice", "viewer");
    expect(await read(owner)).toEqual({ role: "viewer", names: ["one"] });
  });

  it("is refused and audited like the others", async () => {
    await expect(read(stranger)).rejects.toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    standings.set("alice", "disabled");
    await expect(read(owner)).rejects.toThrow(PlenumError);
    expect((await audit()).map((row) => row.reason)).toEqual(["default deny", "principal disabled"]);
    await expect(calls.readAtOnce({ caller: { ...owner, kind: "anonymous" }, method: METHOD }, "test:Get", query, () => 1)).rejects.toThrow(
      PlenumError,
    );
  });
});

describe("page tokens", () => {
  it("are opened by another copy, not by another caller or for another filter", async () => {
    const [one, other] = await Promise.all([openSharedPageTokens(db.kysely), openSharedPageTokens(db.kysely)]);
    const context = { caller: owner, method: METHOD };
    const first = openPage(one, context, { pageSize: 2, pageToken: "" }, { of: "x" });
    expect([first.after, first.limit]).toEqual(["", 3]);
    const { items, nextPageToken } = first.cut(["a", "b", "c"], (row) => row);
    expect(items).toEqual(["a", "b"]);
    const request = { pageSize: 2, pageToken: nextPageToken };
    expect(openPage(other, context, request, { of: "x" }).after).toBe("b");
    expect(() => openPage(other, context, request, { of: "y" })).toThrow(/page_token/);
    expect(() => openPage(other, { ...context, caller: stranger }, request, { of: "x" })).toThrow(/page_token/);
    expect(() => openPage(other, context, { pageSize: 1_001, pageToken: "" })).toThrow(/page_size/);
  });
});
