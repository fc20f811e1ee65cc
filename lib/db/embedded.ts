import { execFile } from "node:child_process";
import { chmod, chown, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { unprivilegedAccount } from "../process/account.ts";
import type { Account } from "../process/account.ts";
import { findExecutable, startChild } from "../process/child.ts";
import type { Child } from "../process/child.ts";
import type { Logger } from "../log/log.ts";
import { placeBinaries } from "./binaries.ts";
import { releaseStaleLock } from "./stale-lock.ts";

const run = promisify(execFile);

export interface EmbeddedPostgres {
  /** For `openDatabase`: the superuser, over the socket in the data directory. */
  readonly url: string;
  readonly pid: number;
  /** Resolves when the server has ended, wanted or not. */
  readonly exited: Promise<unknown>;
  /** Fast shutdown: open transactions are rolled back, everything is written. */
  stop(): Promise<void>;
}

const USER = "plenum";
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 30_000;
/** sockaddr_un holds 108 bytes with the final zero. */
const SOCKET_PATH_LIMIT = 107;
const SOCKET_FILE = ".s.PGSQL.5432";

/** Never weaker than this (C19): a commit that was acknowledged survives the power being cut. A test asserts it. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  max_connections: "200",
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  // Short statements all of them: compiling one costs more than running it.
  jit: "off",
  log_min_messages: "warning",
  log_checkpoints: "off",
  logging_collector: "off",
};

async function own(path: string, account: Account | undefined, mode: number): Promise<void> {
  await mkdir(path, { recursive: true, mode });
  await chmod(path, mode);
  if (account !== undefined) await chown(path, account.uid, account.gid);
}

/** The account must be able to walk to the data directory: a root home is closed to it. */
async function checkReachable(directory: string, account: Account | undefined): Promise<void> {
  if (account === undefined) return;
  for (let path = directory; ; path = resolve(path, "..")) {
    const { mode, uid, gid } = await stat(path);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      throw new Error(
        `${path} is closed to the account ${account.name}, which PostgreSQL runs as: choose a data directory elsewhere (not under a root home)`,
      );
    }
    if (path === resolve(path, "..")) return;
  }
}

const asAccount = (account: Account | undefined): { uid?: number; gid?: number } =>
  account === undefined ? {} : { uid: account.uid, gid: account.gid };

/** Made aside and renamed: a crash in the middle leaves nothing that looks like a database. */
async function initialise(bin: string, data: string, account: Account | undefined): Promise<void> {
  if ((await stat(join(data, "PG_VERSION")).catch(() => undefined)) !== undefined) return;
  const partial = `${data}.partial`;
  await rm(partial, { recursive: true, force: true });
  await own(partial, account, 0o700);
  const args = [
    "-D",
    partial,
    "-U",
    USER,
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--locale=C.UTF-8",
  ];
  try {
    await run(join(bin, "initdb"), args, { ...asAccount(account), env: { ...process.env, LC_ALL: "C", TZ: "UTC" }, cwd: partial });
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new Error(`initdb failed: ${stderr ?? ""}`, { cause: error });
  }
  await rename(partial, data);
}

/** Nothing tells us when it accepts connections except a connection. */
async function waitReady(child: Child, url: string, logFile: string): Promise<void> {
  const ended = child.exited.then(async ({ code, signal }) => {
    const log = await readFile(logFile, "utf8").catch(() => "");
    throw new Error(`PostgreSQL ended at its start (${signal ?? code}):\n${log.split("\n").slice(-20).join("\n")}`);
  });
  const accepts = async (): Promise<void> => {
    for (const limit = performance.now() + START_LIMIT_MS; performance.now() < limit; await delay(15)) {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
      try {
        await client.connect();
        return;
      } catch {
        continue; // not yet; how it ends otherwise is in `ended` and in the limit
      } finally {
        await client.end().catch(() => undefined);
      }
    }
    throw new Error(`PostgreSQL accepts no connection after ${START_LIMIT_MS / 1_000} s; its log is ${logFile}`);
  };
  await Promise.race([accepts(), ended]);
}

async function openLogFile(path: string, account: Account | undefined): Promise<{ fd: number; close: () => Promise<void> }> {
  const file = await open(path, "a", 0o640);
  if (account !== undefined) await file.chown(account.uid, account.gid);
  return { fd: file.fd, close: () => file.close() };
}

/**
 * PostgreSQL of our own under `dataDir` (C19): the real server, as an unprivileged account when we are root, reached over a
 * socket in that directory only. It dies with us (also when we are killed) and recovers at the next start.
 */
export async function startPostgres(options: { dataDir: string; log: Logger }): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  const account = process.getuid?.() === 0 ? await unprivilegedAccount() : undefined;
  const sockets = join(dataDir, "pgsocket");
  const data = join(dataDir, "pgdata");
  const logFile = join(dataDir, "postgresql.log");
  if (Buffer.byteLength(join(sockets, SOCKET_FILE)) > SOCKET_PATH_LIMIT) {
    throw new Error(`${dataDir} is too long a path: PostgreSQL's socket inside it may have ${SOCKET_PATH_LIMIT} bytes`);
  }
  await mkdir(dataDir, { recursive: true, mode: 0o755 });
  await checkReachable(dataDir, account);
  const home = await placeBinaries(dataDir);
  const bin = join(home, "bin");
  await own(sockets, account, 0o700);
  await initialise(bin, data, account);
  await releaseStaleLock(data, options.log);
  const logHandle = await openLogFile(logFile, account);
  if (findExecutable("setpriv") === undefined)
    options.log.warn("no setpriv on this machine: PostgreSQL may outlive a kill of this process");
  const settings = Object.entries({ ...SETTINGS, unix_socket_directories: sockets }).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  let child: Child;
  try {
    child = await startChild({
      command: join(bin, "postgres"),
      args: ["-D", data, ...settings],
      account,
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" },
      cwd: data,
      output: logHandle.fd,
      deathSignal: "QUIT", // stop at once and recover later: a restart must not wait for a long shutdown
    });
  } finally {
    await logHandle.close();
  }
  const url = `postgres://${USER}@localhost/postgres?host=${encodeURIComponent(sockets)}`;
  try {
    await waitReady(child, url, logFile);
  } catch (error) {
    await child.stop("SIGQUIT", STOP_LIMIT_MS);
    throw error;
  }
  options.log.info({ pid: child.pid, dataDir }, "PostgreSQL runs");
  return { url, pid: child.pid, exited: child.exited, stop: () => child.stop("SIGINT", STOP_LIMIT_MS) };
}
