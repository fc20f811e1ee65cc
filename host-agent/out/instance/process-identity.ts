import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import { hasCode } from "#lib/linux/index.ts";

/** A process, told apart from a later one with the same number. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks between boot and the process's start (field 22 of /proc/<pid>/stat). */
  startTime: string;
  /** Start times of another boot say nothing. */
  bootId: string;
}

export type ProcessState = { state: "running" } | { state: "ended"; detail: string };

interface Stat {
  letter: string;
  startTime: string;
  exitCode: number;
}

function readStat(pid: number): Stat | undefined {
  let line: string;
  try {
    line = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
  // The second field is the command's name, which may hold spaces and parentheses; what follows the last one is field 3.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  return { letter: fields[0] ?? "", startTime: fields[19] ?? "", exitCode: Number(fields[49] ?? 0) };
}

let thisBoot: string | undefined;

function bootId(): string {
  return (thisBoot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
}

/** Undefined if there is no such process. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat && { pid, startTime: stat.startTime, bootId: bootId() };
}

/** Whether this very process lives. One that ended and was not collected yet says how it ended. */
export function stateOf(process: ProcessIdentity): ProcessState {
  const stat = readStat(process.pid);
  if (stat === undefined || stat.startTime !== process.startTime || process.bootId !== bootId()) {
    return { state: "ended", detail: "ended while nobody watched" };
  }
  if (stat.letter !== "Z" && stat.letter !== "X") return { state: "running" };
  return { state: "ended", detail: describeWaitStatus(stat.exitCode) };
}

/** "exit code 3" or "signal SIGKILL" from what wait(2) reports. */
export function describeWaitStatus(status: number): string {
  return status & 0x7f ? describeExit(null, signalName(status & 0x7f)) : describeExit((status >> 8) & 0xff, null);
}

export function describeExit(code: number | null, signal: string | null): string {
  return signal === null ? `exit code ${code ?? "unknown"}` : `signal ${signal}`;
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? String(number);
}

/** Processes in the network namespace at `namespaceInode` that run as `uid`: one instance's, however they were started. */
export function processesOf(namespaceInode: string, uid: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        // The user first: anybody's status can be read, while the namespaces of some (init in a container) are closed even to root.
        const ofUser = new RegExp(`^Uid:\\s+${uid}\\s`, "m").test(readFileSync(`/proc/${pid}/status`, "utf8"));
        return ofUser && readlinkSync(`/proc/${pid}/ns/net`) === namespaceInode;
      } catch (error) {
        if (hasCode(error, "ENOENT", "ESRCH")) return false; // Gone since it was listed.
        throw error;
      }
    })
    .map(Number);
}
