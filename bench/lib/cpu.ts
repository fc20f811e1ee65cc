import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { hasCode } from "#lib/linux/index.ts";

/** /proc/stat and /proc/<pid>/stat count in these, whatever the kernel's HZ (USER_HZ). */
const TICK_NS = 1e9 / 100;

/** The sender, and with it the whole way up to the receiver's socket (veth runs it in the sender's context), on one; the receiver on another. */
export const SENDER_CPU = 0;
export const RECEIVER_CPU = Math.min(1, cpus().length - 1);
const PINNED = [...new Set([SENDER_CPU, RECEIVER_CPU])];

/** Processor time of a stretch, nanoseconds, of the pinned processors. */
export interface CpuUse {
  /** Neither idle nor stolen, and not `foreign`. */
  busyNs: number;
  /** Taken away by the hypervisor. */
  stolenNs: number;
  /** Used by processes that are not of this run. Known only where the pinned processors are all there are; else 0, and part of busy. */
  foreignNs: number;
}

export interface CpuClock {
  wallNs: number;
  idleNs: number;
  stolenNs: number;
  foreignNs: number;
}

export function cpuClock(): CpuClock {
  const lines = readFileSync("/proc/stat", "utf8").split("\n");
  let idleNs = 0;
  let stolenNs = 0;
  for (const cpu of PINNED) {
    const fields =
      lines
        .find((line) => line.startsWith(`cpu${cpu} `))
        ?.split(/\s+/)
        .map(Number) ?? [];
    // user nice system idle iowait irq softirq steal. The idle time is exact; the others are guessed at ticks, and so not used.
    idleNs += ((fields[4] ?? 0) + (fields[5] ?? 0)) * TICK_NS;
    stolenNs += (fields[8] ?? 0) * TICK_NS;
  }
  const foreignNs = PINNED.length === cpus().length ? foreignTicks() * TICK_NS : 0;
  return { wallNs: Number(process.hrtime.bigint()), idleNs, stolenNs, foreignNs };
}

export function cpuSince(before: CpuClock): CpuUse {
  const now = cpuClock();
  const foreignNs = now.foreignNs - before.foreignNs;
  const stolenNs = now.stolenNs - before.stolenNs;
  const busyNs = (now.wallNs - before.wallNs) * PINNED.length - (now.idleNs - before.idleNs) - stolenNs - foreignNs;
  return { busyNs, stolenNs, foreignNs };
}

/** Time of all processes that do not descend from this one, kernel threads apart; with that of children they waited for, so that none is lost when one ends. */
function foreignTicks(): number {
  const processes = new Map<number, { parent: number; ticks: number }>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = readFileSync(`/proc/${name}/stat`, "utf8");
      const fields = text
        .slice(text.lastIndexOf(")") + 2)
        .split(" ")
        .map(Number); // from the third one on
      const [, parent = 0] = fields;
      const ticks = fields.slice(11, 15).reduce((sum, each) => sum + each, 0); // utime stime cutime cstime
      processes.set(Number(name), { parent, ticks });
    } catch (error) {
      if (!hasCode(error, "ENOENT", "ESRCH")) throw error; // ended since it was listed
    }
  }
  const KTHREADD = 2;
  const ours = (pid: number): boolean => {
    for (let at = pid; at > 0; at = processes.get(at)?.parent ?? 0) if (at === process.pid || at === KTHREADD) return true;
    return false;
  };
  let sum = 0;
  for (const [pid, { ticks }] of processes) if (!ours(pid)) sum += ticks;
  return sum;
}
