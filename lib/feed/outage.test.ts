import { rm } from "node:fs/promises";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Bus } from "../bus/bus.ts";
import { MemoryHub } from "../bus/memory.ts";
import { openNatsBus } from "../bus/nats.ts";
import { startNatsServer } from "../bus/server.ts";
import type { LocalNats } from "../bus/server.ts";
import { openDatabase } from "../db/database.ts";
import type { Database } from "../db/database.ts";
import { startPostgres } from "../db/embedded.ts";
import { migrate, sqlMigration } from "../db/migrate.ts";
import { testDirectory } from "../db/testing.ts";
import { transaction } from "../db/transaction.ts";
import { silentLog } from "../log/log.ts";
import { appendChanges, createScopeReader, feedMarks, feedMigration, feedViews, publishHints } from "./feed.ts";
import type { FollowOptions } from "./feed.ts";

const log = silentLog();
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const SCOPE = "network:n1";

/** Remembers what it was told, in order. */
function recorder(): { events: string[]; options: FollowOptions<unknown, null> } {
  const events: string[] = [];
  return {
    events,
    options: {
      snapshot: () => Promise.resolve(null),
      onSnapshot: (_, version) => void events.push(`snapshot ${version}`),
      onInSync: (version) => void events.push(`in sync ${version}`),
      onDelta: ({ version, payload }) => void events.push(`${version} ${new TextDecoder().decode(payload)}`),
    },
  };
}

describe("the feed through outages", () => {
  let dataDir: string;
  let url: string;
  const closers: (() => unknown)[] = [];
  const later = <Closable>(made: Closable, close: (made: Closable) => unknown): Closable => {
    closers.push(() => close(made));
    return made;
  };
  let stopPostgres: () => Promise<void>;
  const start = async (): Promise<void> => {
    const server = await startPostgres({ dataDir, log });
    ({ url } = server);
    stopPostgres = () => server.stop();
  };
  const open = (role?: string, schema = role): Database<unknown> => later(openDatabase({ url, role, schema, log }), (db) => db.close());

  beforeEach(async () => {
    dataDir = await testDirectory("outage");
    closers.push(() => rm(dataDir, { recursive: true, force: true }));
    await start();
    closers.push(() => stopPostgres());
    const admin = open();
    await migrate(admin.kysely, "shop", { "0001_feed": feedMigration("shop"), "0002_marks": feedMarks("shop") });
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  const write = async (db: Database<unknown>, bus: Bus, text: string): Promise<void> => {
    publishHints(bus, await transaction(db.kysely, (tx) => appendChanges(tx, [{ scope: SCOPE, payload: bytes(text) }])));
  };

  it("goes on where it was when the database comes back, for a follower before and during its absence", async () => {
    const hub = new MemoryHub();
    const bus = hub.connect(log);
    const db = open("shop");
    const reader = later(createScopeReader({ db: db.kysely, schema: "shop", bus, log, checkEveryMs: 30 }), (one) => one.close());
    const before = recorder();
    reader.follow(SCOPE, before.options);
    await write(db, bus, "a");
    await expect.poll(() => before.events.at(-1)).toBe("1 a");
    await stopPostgres();
    const during = recorder();
    reader.follow(SCOPE, during.options);
    await expect(write(db, bus, "lost")).rejects.toThrow();
    await start();
    hub.fate = () => "lose";
    await expect
      .poll(
        () =>
          write(db, bus, "b").then(
            () => "written",
            () => "away",
          ),
        { timeout: 10_000 },
      )
      .toBe("written");
    await expect.poll(() => before.events.slice(-1), { timeout: 10_000 }).toEqual(["2 b"]);
    await expect.poll(() => during.events[0], { timeout: 10_000 }).toMatch(/^snapshot/);
    expect(before.events.filter((event) => event.startsWith("in sync"))).toHaveLength(1);
  });

  it("goes by hints over NATS, by the log while NATS is away, and by hints again", async () => {
    const directory = await testDirectory("outage-nats");
    closers.push(() => rm(directory, { recursive: true, force: true }));
    let nats: LocalNats = await startNatsServer({ dataDir: directory, log });
    closers.push(() => nats.stop());
    const [sender, receiver] = [1, 2].map(() => later(openNatsBus({ url: nats.url, name: "test", log }), (bus) => bus.close())) as [
      Bus,
      Bus,
    ];
    const linked = () => sender.stats().connected && receiver.stats().connected;
    await expect.poll(linked, { timeout: 10_000 }).toBe(true);
    const db = open("shop");
    const reader = later(createScopeReader({ db: db.kysely, schema: "shop", bus: receiver, log, checkEveryMs: 100 }), (one) => one.close());
    const copy = recorder();
    reader.follow(SCOPE, copy.options);
    await expect.poll(() => copy.events).toContain("in sync 0");
    await receiver.flush();

    await write(db, sender, "by hint");
    await expect.poll(() => copy.events.at(-1)).toBe("1 by hint");
    const { url: natsUrl } = nats;
    await nats.stop();
    await expect.poll(linked, { timeout: 10_000 }).toBe(false);
    await write(db, sender, "by log"); // the write does not fail, nor wait
    await expect.poll(() => copy.events.at(-1)).toBe("2 by log");
    nats = await startNatsServer({ dataDir: directory, log, port: Number(new URL(natsUrl).port), token: new URL(natsUrl).username });
    await expect.poll(linked, { timeout: 10_000 }).toBe(true);
    const { hints } = reader.stats();
    // The first may fall between reconnecting and subscribing again, and comes by the log then.
    await expect
      .poll(
        async () => {
          await write(db, sender, "again");
          return reader.stats().hints;
        },
        { timeout: 10_000 },
      )
      .toBeGreaterThan(hints);
    expect(copy.events.filter((event) => event.endsWith("again")).length).toBeGreaterThan(0);
  });

  it("is followed by another service through views, which sees nothing else (C17)", async () => {
    const admin = open();
    await migrate(admin.kysely, "reader", {});
    await migrate(admin.kysely, "shop_feed", {});
    await migrate(admin.kysely, "shop", {
      "0001_feed": feedMigration("shop"),
      "0002_marks": feedMarks("shop"),
      "0003_secret": sqlMigration("CREATE TABLE secret (x int)"),
    });
    await sql.raw(feedViews({ schema: "shop", views: "shop_feed", reader: "reader" })).execute(admin.kysely);
    const bus = new MemoryHub().connect(log);
    const theirs = open("reader");
    const copy = recorder();
    const reader = later(createScopeReader({ db: theirs.kysely, schema: "shop_feed", bus, log, checkEveryMs: 30 }), (one) => one.close());
    reader.follow(SCOPE, { ...copy.options, from: 0n });
    await write(open("shop"), bus, "a");
    await write(open("shop"), bus, "b");
    await expect.poll(() => copy.events.filter((event) => !event.startsWith("in sync"))).toEqual(["1 a", "2 b"]);
    await expect(sql`SELECT * FROM shop.secret`.execute(theirs.kysely)).rejects.toMatchObject({ code: "42501" });
    await expect(sql`DELETE FROM shop_feed.change`.execute(theirs.kysely)).rejects.toMatchObject({ code: "42501" });
  });
});
