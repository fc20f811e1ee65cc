import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HostChange, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { ConnectResponse } from "#gen/plenum/host/v1/host_feed.ts";
import { MemoryHub } from "#lib/bus/memory.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { startTestPostgres } from "#lib/db/testing.ts";
import type { TestPostgres } from "#lib/db/testing.ts";
import { transaction } from "#lib/db/transaction.ts";
import { appendChanges, createScopeReader, publishHints } from "#lib/feed/feed.ts";
import { silentLog } from "#lib/log/log.ts";
import { SCHEMA } from "../call/api.ts";
import { coordinatorMigrations } from "../migrations.ts";
import { Sessions } from "./out/sessions.ts";
import { VersionWriter } from "./out/version-writer.ts";
import { HostSession } from "./session.ts";
import type { SessionDependencies } from "./session.ts";

const CHANGES = 3_000;
/** Messages that a session keeps for a reader that is away, and the one it holds in its hands. */
const MOST_WAITING = 17;

const log = silentLog();
let postgres: TestPostgres;
let db: Database<unknown>;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const admin = openDatabase<unknown>({ url: postgres.url, log });
  await migrate(admin.kysely, SCHEMA, coordinatorMigrations);
  await admin.close();
  db = openDatabase({ url: postgres.url, schema: SCHEMA, log });
});
afterAll(async () => {
  await db?.close();
  await postgres?.stop();
});

function changeOf(index: number): Uint8Array {
  const env = { value: "x".repeat(1_000) };
  const value = { instanceId: `i-${index % 7}`, generation: BigInt(index), wanted: Wanted.PRESENT, argv: [], env, actsAs: "" };
  return HostChange.encode({ version: 0n, inSnapshot: false, items: [{ item: { $case: "instance", value } }] }).finish();
}

/** A host's open session, and what it has been sent. */
function openSession(hostId: string) {
  const hub = new MemoryHub();
  const bus = hub.connect(log);
  const reader = createScopeReader<unknown>({ db: db.kysely, schema: SCHEMA, bus, log, checkEveryMs: 20 });
  const signals = { announce: () => undefined } as unknown as SessionDependencies["signals"];
  const unused = undefined as unknown as SessionDependencies["calls"] & SessionDependencies["operations"];
  const deps = { calls: unused, operations: unused, signals, db: db.kysely, bus, reader, sessions: new Sessions(bus), log };
  const session = new HostSession({ ...deps, versions: new VersionWriter(db.kysely, signals) }, hostId, 1n);
  const messages = session.messages();
  const seen: NonNullable<ConnectResponse["message"]>[] = [];
  const take = async (): Promise<NonNullable<ConnectResponse["message"]>> => {
    const { value } = await messages.next();
    const message = value?.message;
    if (message === undefined) throw new Error("the session has ended");
    seen.push(message);
    return message;
  };
  return {
    take,
    seen,
    reader,
    /** Read until the scope's change of this version has come. */
    async until(version: bigint): Promise<void> {
      for (;;) {
        const message = await take();
        if ((message.$case === "change" || message.$case === "inSync") && message.value.version === version) return;
      }
    },
    async write(count: number): Promise<void> {
      let index = 0;
      // Many in one transaction: only their number matters here.
      while (index < count) {
        const appended = await transaction(db.kysely, async (tx) => {
          const all = [];
          for (const end = Math.min(count, index + 100); index < end; index += 1)
            all.push(...(await appendChanges(tx, [{ scope: `host:${hostId}`, payload: changeOf(index) }])));
          return all;
        });
        publishHints(bus, appended);
      }
    },
    async close(): Promise<void> {
      await session.close();
      await reader.close();
    },
  };
}

test("a host that stops reading costs a few messages, however much happens, and then gets all of it in order", async () => {
  const host = openSession("host-slow");
  await host.until(0n);
  await host.write(CHANGES);
  const taken = () => host.reader.stats().hints + host.reader.stats().rows;
  await expect.poll(taken).toBeGreaterThan(0);
  expect(taken()).toBeLessThanOrEqual(MOST_WAITING);
  await host.until(BigInt(CHANGES));
  const versions = host.seen.flatMap((message) => (message.$case === "change" ? [message.value.version] : []));
  expect(versions).toEqual(Array.from({ length: CHANGES }, (_, index) => BigInt(index + 1)));
  await host.close();
}, 60_000);

test("one that reads so slowly that the log is trimmed meanwhile is told so and gets a snapshot, and all that comes after it", async () => {
  const host = openSession("host-slower");
  await host.until(0n);
  await host.write(200);
  await sql`DELETE FROM change WHERE scope = 'host:host-slower' AND version <= 150`.execute(db.kysely);
  await host.until(200n);
  const kinds = host.seen.map((message) => message.$case);
  expect(kinds.slice(-2)).toEqual(["historyGone", "inSync"]); // the tables have nothing of this host
  expect(kinds.length).toBeLessThan(2 * 64 + MOST_WAITING + 4);
  await host.write(1);
  await host.until(201n);
  await host.close();
});
