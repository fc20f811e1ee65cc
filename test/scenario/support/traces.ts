import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Launcher } from "./launcher.ts";

/** What a launcher writes before it makes anything (cli/up/registry.ts); read here without the product's own code. */
export interface Registered {
  run: string;
  dataDir: string;
}

/** The registration of a launcher: waits until it is there. @throws Error if the launcher ends before */
export async function registrationOf(launcher: Launcher): Promise<Registered> {
  let over = false;
  void launcher.ended.then(() => (over = true));
  for (; !over; await delay(20)) {
    const found = names("/run/plenum")
      .filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(textOf(`/run/plenum/${name}`) || "{}") as Partial<Registered & { pid: number }>)
      .find((record) => record.pid === launcher.child.pid);
    if (found?.run !== undefined && found.dataDir !== undefined) return { run: found.run, dataDir: found.dataDir };
  }
  throw new Error(`it ended before it was registered; it printed:\n${launcher.output}`);
}

/**
 * Everything on the machine that has one of the words (name of a run, directory) in its name: network namespaces, mounts (the pins are
 * in them), processes by command, environment or namespace, registrations. Other runs on the machine are not looked at.
 */
export function tracesOf(...words: string[]): string[] {
  const has = (text: string): boolean => words.some((word) => text.includes(word));
  const namespaces = names("/run/netns").filter(has);
  const inodes = new Set(namespaces.map((name) => `net:[${statSync(`/run/netns/${name}`).ino}]`));
  return [
    ...namespaces.map((name) => `namespace ${name}`),
    ...textOf("/proc/self/mounts").split("\n").filter(has),
    ...names("/run/plenum")
      .filter(has)
      .map((name) => `registration ${name}`),
    ...names("/proc")
      .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
      .filter((pid) => has(textOf(`/proc/${pid}/cmdline`)) || has(textOf(`/proc/${pid}/environ`)) || inodes.has(namespaceOf(pid)))
      .map((pid) => `process ${pid}: ${textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`),
  ];
}

// What is not there any more, or is not ours to read, has no text: the machine goes on while it is looked at.
function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(code)) return otherwise;
    throw error;
  }
}
const names = (directory: string): string[] => orElse(() => readdirSync(directory), []);
const textOf = (path: string): string => orElse(() => readFileSync(path, "utf8"), "");
const namespaceOf = (pid: string): string => orElse(() => readlinkSync(`/proc/${pid}/ns/net`), "");
