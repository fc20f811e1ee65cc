import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { silentLog } from "../log/log.ts";
import { openDatabase } from "./database.ts";
import type { Database } from "./database.ts";
import { startPostgres } from "./embedded.ts";
import { releaseStaleLock } from "./stale-lock.ts";
import { startTestPostgres, testDirectory } from "./testing.ts";
import type { TestPostgres } from "./testing.ts";

const log = silentLog();

describe("embedded PostgreSQL", () => {
  let server: TestPostgres;
  let db: Database<unknown>;
  beforeAll(async () => {
    server = await startTestPostgres();
    db = openDatabase({ url: server.url, log });
  });
  afterAll(async () => {
    await db?.close();
    await server?.stop();
  });

  const settingOf = async (name: string): Promise<string | undefined> => {
    const { rows } = await sql<{ setting: string }>`SELECT setting FROM pg_settings WHERE name = ${name}`.execute(db.kysely);
    return rows[0]?.setting;
  };

  it.each(["fsync", "synchronous_commit", "full_page_writes"])("has %s on (C19)", async (name) => {
    expect(await settingOf(name)).toBe("on");
  });

  it("listens on no network address, and on a socket that only its account can open", async () => {
    expect(await settingOf("listen_addresses")).toBe("");
    expect((await stat(join(server.dataDir, "pgsocket"))).mode & 0o777).toBe(0o700);
  });

  it("is not root's", async () => {
    const pid = (await readFile(join(server.dataDir, "pgdata", "postmaster.pid"), "utf8")).split("\n")[0];
    const uid = /^Uid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
    expect(uid).not.toBe("0");
  });

  it("reads 64-bit integers exactly", async () => {
    const { rows } = await sql<object>`SELECT 9007199254740993::bigint AS one, ARRAY[1, NULL]::bigint[] AS many`.execute(db.kysely);
    expect(rows).toEqual([{ one: 9007199254740993n, many: [1n, null] }]);
  });

  it("is not started twice on one directory", async () => {
    await expect(releaseStaleLock(join(server.dataDir, "pgdata"), log, 50)).rejects.toThrow(/is in use/);
    expect(await settingOf("fsync")).toBe("on"); // and the first one runs on
  });
});

describe("embedded PostgreSQL after a crash", () => {
  let dataDir: string;
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  /** A dead process that nobody has reaped yet has no program any more. */
  const alive = (pid: number): Promise<boolean> =>
    readlink(`/proc/${pid}/exe`).then(
      () => true,
      () => false,
    );

  it("dies with a process that is killed, and starts again with what was committed", async () => {
    dataDir = await testDirectory("pg");
    const child = spawn(process.execPath, [join(import.meta.dirname, "killed-program.ts"), dataDir], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pid = Number(String((await once(child.stdout, "data"))[0]));
    expect(await alive(pid)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    const server = await startPostgres({ dataDir, log }); // at once: it waits for the old one to go
    const db = openDatabase({ url: server.url, log });
    try {
      expect(await alive(pid)).toBe(false);
      expect((await sql<{ value: number }>`SELECT value FROM kept`.execute(db.kysely)).rows).toEqual([{ value: 42 }]);
      await db.close();
      await server.stop();
      // The old pid belongs to somebody else by now: to us.
      await writeFile(join(dataDir, "pgdata", "postmaster.pid"), `${process.pid}\n${join(dataDir, "pgdata")}\n`);
      const again = await startPostgres({ dataDir, log });
      await again.stop();
    } finally {
      await db.close();
      await server.stop();
    }
  });

  it("begins anew when it was killed while it made its files", async () => {
    dataDir = await testDirectory("pg");
    await mkdir(join(dataDir, "pgdata.partial", "base"), { recursive: true });
    const server = await startPostgres({ dataDir, log });
    await server.stop();
    await expect(stat(join(dataDir, "pgdata.partial"))).rejects.toThrow(/ENOENT/);
  });

  it("says why where its account cannot go", async () => {
    dataDir = await testDirectory("pg");
    await chmod(dataDir, 0o700);
    const started = startPostgres({ dataDir: join(dataDir, "deep"), log });
    if (process.getuid?.() === 0) await expect(started).rejects.toThrow(/is closed to the account/);
    else await started.then((server) => server.stop()); // our own account goes where we go
  });
});
