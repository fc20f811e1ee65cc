import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { hasCode, namespaceExists, namespacePath, OWN_NAMESPACE, withNamespace } from "#lib/linux/index.ts";

/** A process for certain: its number may be anybody's a moment later, number and start time together are not. */
export interface ProcessId {
  pid: number;
  /** Clock ticks since boot, as in /proc/<pid>/stat. */
  startTime: string;
}

/** Gone since it was listed; or closed even to us (a process with more privileges than this container), and so not one of ours. */
const gone = (error: unknown): boolean => hasCode(error, "ENOENT", "ESRCH", "EACCES", "EPERM");

/** Fields of /proc/<pid>/stat after the name; undefined if there is no such process. The name may hold anything, brackets too. */
function stat(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    if (gone(error)) return undefined;
    throw error;
  }
}

/** @returns undefined if it is gone, or ended and only waits for its parent to notice */
export function identify(pid: number): ProcessId | undefined {
  const [state, ...rest] = stat(pid) ?? [];
  const startTime = rest[18];
  return state === undefined || state === "Z" || startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(id: ProcessId): boolean {
  return identify(id.pid)?.startTime === id.startTime;
}

/** Every process whose network namespace is one of these (names under /run/netns), however it got there. */
export function processesInNamespaces(names: readonly string[]): ProcessId[] {
  const inodes = new Set(
    names.filter((name) => namespaceExists(name)).map((name) => withNamespace(namespacePath(name), () => readlinkSync(OWN_NAMESPACE))),
  );
  if (inodes.size === 0) return [];
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && inodes.has(namespaceOf(entry)))
    .map((entry) => identify(Number(entry)))
    .filter((id) => id !== undefined);
}

function namespaceOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch (error) {
    if (gone(error)) return "";
    throw error;
  }
}

/** No such process: no effect. */
export function send(id: ProcessId, signal: NodeJS.Signals): void {
  if (!isAlive(id)) return;
  try {
    process.kill(id.pid, signal);
  } catch (error) {
    if (!gone(error)) throw error;
  }
}

/** TERM, and after `graceMs` KILL, to whatever `find` finds, until it finds nothing. @throws Error if something survives KILL for 5 s */
export async function endProcesses(find: () => ProcessId[], graceMs: number): Promise<void> {
  const ask = performance.now() + graceMs;
  const limit = ask + 5_000;
  const asked = new Set<number>();
  for (let found = find(); found.length > 0; found = find()) {
    const now = performance.now();
    if (now > limit) throw new Error(`processes ${found.map(({ pid }) => pid).join(", ")} do not end`);
    for (const id of found) {
      if (now > ask) send(id, "SIGKILL");
      else if (!asked.has(id.pid)) send(id, "SIGTERM");
      asked.add(id.pid);
    }
    await delay(20); // they are not our children: no event tells of their end
  }
}
