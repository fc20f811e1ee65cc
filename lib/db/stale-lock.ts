import { readFile, readlink, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../log/log.ts";

/** Its process was killed a moment ago, perhaps, and it is on its way out. */
const GRACE_MS = 5_000;
const LIMIT_MS = 30_000;

interface Holder {
  readonly pid: number;
  readonly parent: number;
}

/** The live PostgreSQL that holds this data directory, or undefined: a pid in the file may be anybody's by now. */
async function liveHolder(data: string, pid: number): Promise<Holder | undefined> {
  try {
    const exe = await readlink(`/proc/${pid}/exe`);
    const cwd = await readlink(`/proc/${pid}/cwd`);
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const parent = Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
    // A server's working directory is its data directory.
    return basename(exe.replace(/ \(deleted\)$/, "")) === "postgres" && cwd === data ? { pid, parent } : undefined;
  } catch {
    return undefined; // gone
  }
}

/**
 * Make way for a start after a crash. PostgreSQL's own check takes any process with the old pid for the old server, and a pid is
 * soon used again; and an orphan server (no setpriv when it was started) must end before a new one may open its files.
 * A server whose parent lives is another installation's at work: an error.
 */
export async function releaseStaleLock(data: string, log: Logger, graceMs = GRACE_MS): Promise<void> {
  const file = join(data, "postmaster.pid");
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const pid = Number(text.split("\n")[0]);
  const holder = Number.isInteger(pid) && pid > 1 ? await liveHolder(data, pid) : undefined;
  if (holder === undefined) {
    log.info({ pid }, "removing the lock of a PostgreSQL that is gone");
    await rm(file, { force: true });
    return;
  }
  if (await endsWithin(data, pid, graceMs)) return;
  if (holder.parent > 1) throw new Error(`${data} is in use: PostgreSQL ${pid} of process ${holder.parent} serves it`);
  log.warn({ pid }, "stopping a PostgreSQL that outlived its process");
  process.kill(pid, "SIGQUIT");
  if (!(await endsWithin(data, pid, LIMIT_MS))) throw new Error(`PostgreSQL ${pid} on ${data} does not stop`);
}

async function endsWithin(data: string, pid: number, limitMs: number): Promise<boolean> {
  for (const limit = performance.now() + limitMs; performance.now() < limit; await delay(20)) {
    if ((await liveHolder(data, pid)) === undefined) return true;
  }
  return false;
}
