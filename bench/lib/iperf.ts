import { endProcess, finish, pinnedIn, startProcess } from "./process.ts";
import { cpuClock, cpuSince, RECEIVER_CPU, SENDER_CPU } from "./cpu.ts";
import type { CpuUse } from "./cpu.ts";
import { dropsSince, kernelDrops } from "./drops.ts";
import type { Drops } from "./drops.ts";
import type { Side } from "./sides.ts";

/** One stretch of traffic from a side's client to its server. */
export interface Sample extends CpuUse {
  side: string;
  seconds: number;
  /** What the receiver got. */
  bytes: number;
  packets: number;
  /** UDP: what the sender sent and the receiver did not get. */
  lost: number;
  retransmits: number;
  /** Every counter of lost packets that grew. */
  drops: Drops;
}

interface Sum {
  seconds: number;
  bytes: number;
  packets?: number;
  lost_packets?: number;
  retransmits?: number;
}

/** Starts `iperf3 -s` on every side, pinned. Resolves when they listen. */
export async function startServers(sides: readonly Side[]): Promise<void> {
  await Promise.all(
    sides.map((side) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const lines: string[] = [];
      const server = startProcess(pinnedIn(side.server, RECEIVER_CPU, "iperf3", "-s", "--forceflush"), (line) => {
        lines.push(line);
        if (line.includes("listening")) resolve();
      });
      server.once("error", reject);
      server.once("close", () => reject(new Error(`iperf3 on ${side.name} ended: ${lines.slice(-3).join(" ")}`)));
      promise.catch(() => endProcess(server));
      return promise;
    }),
  );
}

/** @param args of the client: what to send and for how long */
export async function iperfSample(side: Side, args: readonly string[]): Promise<Sample> {
  const drops = { ...kernelDrops(side.namespaces), ...side.numberedDrops() };
  const clock = cpuClock();
  const output = await finish(pinnedIn(side.client, SENDER_CPU, "iperf3", "-c", side.address, "-J", ...args));
  const use = cpuSince(clock);
  const after = { ...kernelDrops(side.namespaces), ...side.numberedDrops() };
  const { end } = JSON.parse(output) as { end: { sum?: Sum; sum_sent: Sum; sum_received: Sum } };
  const received = end.sum_received;
  const lost = end.sum?.lost_packets ?? 0;
  return {
    ...{ side: side.name, seconds: received.seconds, bytes: received.bytes, packets: (end.sum?.packets ?? 0) - lost, lost },
    ...{ retransmits: end.sum_sent.retransmits ?? 0, drops: dropsSince(drops, after), ...use },
  };
}
