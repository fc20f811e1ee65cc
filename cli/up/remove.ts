import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { deleteNamedNamespace, hasCode, listNamedNamespaces, unmount } from "#lib/linux/index.ts";
import { flock, LOCK_EX } from "#lib/linux/libc.ts";
import { LOCK_NB } from "./data-dir.ts";
import { CONTEXT_FILE, CURRENT_POINTER } from "../connection.ts";
import { endProcesses, processesInNamespaces } from "./processes.ts";
import { isRunning, REGISTRY_DIR, registeredRuns, unregister } from "./registry.ts";
import type { RunRecord } from "./registry.ts";

/** What is left in a namespace after its owners were told to stop gets this long. */
const GRACE_MS = 3_000;

/** Names of the namespaces that a run made: its control plane's, its hosts' and their guests'. */
export function namespacesOf(run: string): string[] {
  return listNamedNamespaces().filter((name) => name.startsWith(`${run}-`));
}

/** BPF file systems under a directory. Pins, and with them programs and maps, end with the last mount. */
function bpffsUnder(directory: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => / - bpf /.test(line))
    .map((line) => (line.split(" ")[4] ?? "").replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))))
    .filter((path) => path.startsWith(`${directory}/`));
}

/** What agents remember of their guests: they are gone, so the next start must make them anew, processes too. */
function forgetGuests(dataDir: string): void {
  const hosts = join(dataDir, "hosts");
  if (!existsSync(hosts)) return;
  for (const host of readdirSync(hosts)) rmSync(join(hosts, host, "instances"), { recursive: true, force: true });
}

/** How `plenum` would find this run. */
function forgetContext(dataDir: string): void {
  rmSync(join(dataDir, CONTEXT_FILE), { force: true });
  if (existsSync(CURRENT_POINTER) && readFileSync(CURRENT_POINTER, "utf8").trim() === dataDir) rmSync(CURRENT_POINTER, { force: true });
}

/**
 * Removes everything that a run has on the machine: processes in its namespaces, namespaces (with their devices), mounts, and, of a
 * temporary run, its data. Whatever of it is gone already is no error: this is how a run ends, and how one that was killed is cleaned up.
 * @param options.keep the run begins now: only what an earlier one of the same name left goes, not its registration and data
 */
export async function removeRun(record: RunRecord, options: { keep?: boolean } = {}): Promise<void> {
  await endProcesses(() => processesInNamespaces(namespacesOf(record.run)), GRACE_MS);
  for (const name of namespacesOf(record.run)) deleteNamedNamespace(name);
  forgetGuests(record.dataDir);
  forgetContext(record.dataDir);
  for (const path of bpffsUnder(record.dataDir)) unmount(path);
  if (options.keep === true) return;
  if (record.temporary) rmSync(record.dataDir, { recursive: true, force: true });
  unregister(record.run);
}

/** Two that start at once must not both remove the same leftovers. Released by closing it. */
async function takeSweepLock(): Promise<number> {
  const lock = openSync(join(REGISTRY_DIR, "sweep.lock"), "a", 0o600);
  for (;;) {
    try {
      flock("lock the removal of leftovers", lock, LOCK_EX | LOCK_NB);
      return lock;
    } catch (error) {
      if (!hasCode(error, "EAGAIN", "EWOULDBLOCK")) throw error;
      await delay(50); // not a blocking lock: it may be this very process that holds it
    }
  }
}

/**
 * Cleans up after launchers that died without doing it.
 * @param which only those for which it holds; default all
 * @returns the names of their runs
 */
export async function removeDeadRuns(which: (record: RunRecord) => boolean = () => true): Promise<string[]> {
  const isDead = (record: RunRecord): boolean => which(record) && !isRunning(record);
  if (!registeredRuns().some(isDead)) return [];
  const lock = await takeSweepLock();
  try {
    const dead = registeredRuns().filter(isDead); // again: another sweeper may have been at it
    for (const record of dead) await removeRun(record);
    return dead.map(({ run }) => run);
  } finally {
    closeSync(lock);
  }
}
