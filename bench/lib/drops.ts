import { readFileSync } from "node:fs";
import * as linux from "#lib/linux/index.ts";

/** Every place that counts a packet it threw away, by name. */
export type Drops = Record<string, number>;

/**
 * Counters that explain what a sender sent in vain: packets that the receiver's socket had no room for, and segments that the sender
 * sent again although they had arrived (the receiver said so: DSACK; a probe at the tail of a flight that had only waited for a processor).
 */
const EXPLAIN = [
  "Udp.RcvbufErrors",
  "TcpExt.TCPRcvQDrop",
  "TcpExt.TCPBacklogDrop",
  "TcpExt.RcvPruned",
  "TcpExt.TCPDSACKRecv",
  "TcpExt.TCPLossProbes",
];

/** Counters of the machine's backlog queues, of all devices in these namespaces, and of sockets in them. */
export function kernelDrops(namespaces: Record<string, string>): Drops {
  const drops: Drops = { softnet: softnetDropped() };
  for (const [name, path] of Object.entries(namespaces)) {
    const read = (file: string): string => linux.withNamespace(path, () => readFileSync(`/proc/thread-self/net/${file}`, "utf8"));
    for (const line of read("dev").split("\n").slice(2)) {
      const [device, values] = line.split(":");
      const fields = values?.trim().split(/\s+/).map(Number) ?? [];
      if (device !== undefined && values !== undefined) drops[`${name}.${device.trim()}`] = (fields[3] ?? 0) + (fields[11] ?? 0);
    }
    for (const [counter, value] of Object.entries({ ...pairs(read("snmp")), ...pairs(read("netstat")) }))
      if (EXPLAIN.includes(counter)) drops[`${name}.${counter}`] = value;
  }
  return drops;
}

/** What grew, and by how much. */
export function dropsSince(before: Drops, after: Drops): Drops {
  const grown = Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, by]) => by !== 0));
}

export function total(drops: Drops): number {
  return Object.values(drops).reduce((sum, each) => sum + each, 0);
}

function softnetDropped(): number {
  const lines = readFileSync("/proc/net/softnet_stat", "utf8").trim().split("\n");
  return lines.reduce((sum, line) => sum + parseInt(line.split(" ")[1] ?? "0", 16), 0);
}

/** "Udp: a b" above "Udp: 1 2" as {"Udp.a": 1, "Udp.b": 2}. */
function pairs(text: string): Record<string, number> {
  const lines = text.trim().split("\n");
  const found: Record<string, number> = {};
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [group = "", ...names] = (lines[i] ?? "").split(" ");
    const [, ...values] = (lines[i + 1] ?? "").split(" ");
    names.forEach((name, index) => (found[`${group}${name}`] = Number(values[index])));
  }
  return Object.fromEntries(Object.entries(found).map(([name, value]) => [name.replace(":", "."), value]));
}
