import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { hasCode } from "#lib/linux/index.ts";

/** /proc/stat and /proc/<pid>/stat count in these, whatever the kernel's HZ (USER_HZ). */
const TICK_NS = 1e9 / 100;

/** The sender, and with it the whole way up to the receiver's socket (veth runs it in the sender's context), on one; the receiver on another. */
export const SENDER_CPU = 0;
export const RECEIVER_CPU = Math.min(1, cpus().length - 1);
/** Parent of all kernel threads. */
const KTHREADD = 2;
const PINNED = [...new Set([SENDER_CPU, RECEIVER_CPU])];

/** Processor time of a stretch, nanoseconds. */
export interface CpuUse {
  /**
   * Of this run's processes and of ksoftirqd: the senders' and receivers' own work and, as veth does its work in the sender's context
   * (without CONFIG_IRQ_TIME_ACCOUNTING it is charged there), the whole way between them. Little disturbed by what else runs.
   */
  ownNs: number;
  /** The pinned processors' time that was neither idle nor stolen: everybody's. On a quiet machine the same. */
  busyNs: number;
  /** Taken away from them by the hypervisor. */
  stolenNs: number;
  /** Of processes that are not of this run, on all processors. */
  foreignNs: number;
}

export interface CpuClock extends CpuUse {
  wallNs: number;
}

export function cpuClock(): CpuClock {
  const lines = readFileSync("/proc/stat", "utf8").split("\n");
  let idleNs = 0;
  let stolenNs = 0;
  for (const cpu of PINNED) {
    const line = lines.find((each) => each.startsWith(`cpu${cpu} `));
    const fields = line?.split(/\s+/).map(Number) ?? [];
    // user nice system idle iowait irq softirq steal. The idle time is exact; the others are guessed at ticks, and so not used.
    idleNs += ((fields[4] ?? 0) + (fields[5] ?? 0)) * TICK_NS;
    stolenNs += (fields[8] ?? 0) * TICK_NS;
  }
  const wallNs = Number(process.hrtime.bigint());
  const { own, foreign } = ticks();
  return { wallNs, busyNs: wallNs * PINNED.length - idleNs - stolenNs, stolenNs, ownNs: own * TICK_NS, foreignNs: foreign * TICK_NS };
}

export function cpuSince(before: CpuClock): CpuUse {
  const now = cpuClock();
  return {
    ownNs: now.ownNs - before.ownNs,
    busyNs: now.busyNs - before.busyNs,
    stolenNs: now.stolenNs - before.stolenNs,
    foreignNs: now.foreignNs - before.foreignNs,
  };
}

/** Time of all processes, with that of children they waited for, so that none is lost when one ends. Ours descend from this one. */
function ticks(): { own: number; foreign: number } {
  const processes = new Map<number, { parent: number; name: string; ticks: number }>();
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const text = readFileSync(`/proc/${pid}/stat`, "utf8");
      const name = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
      const fields = text
        .slice(text.lastIndexOf(")") + 2)
        .split(" ")
        .map(Number); // from the third one on
      const sum = fields.slice(11, 15).reduce((all, each) => all + each, 0); // utime stime cutime cstime
      processes.set(Number(pid), { parent: fields[1] ?? 0, name, ticks: sum });
    } catch (error) {
      if (!hasCode(error, "ENOENT", "ESRCH")) throw error; // ended since it was listed
    }
  }
  const descends = (pid: number, from: number): boolean => {
    for (let at = pid; at > 0; at = processes.get(at)?.parent ?? 0) if (at === from) return true;
    return false;
  };
  let own = 0;
  let foreign = 0;
  for (const [pid, process_] of processes) {
    if (descends(pid, process.pid) || process_.name.startsWith("ksoftirqd/")) own += process_.ticks;
    else if (!descends(pid, KTHREADD)) foreign += process_.ticks;
  }
  return { own, foreign };
}
