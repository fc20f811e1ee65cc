import type { ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { cpuClock, cpuSince, RECEIVER_CPU, SENDER_CPU } from "./cpu.ts";
import { dropsSince, kernelDrops } from "./drops.ts";
import type { Sample } from "./iperf.ts";
import { finish, pinnedIn, runNow, startProcess } from "./process.ts";
import type { Side } from "./sides.ts";

const PORT = 5301;
const SOURCE = join(import.meta.dirname, "datagrams.c");
const PROGRAM = "build/bench/datagrams";

/** Receivers of all sides, and one stretch of datagrams to one of them. */
export class Datagrams {
  readonly #receivers = new Map<Side, { child: ChildProcess; heard: (line: string) => void }>();

  /** Compiles the program and starts a receiver, pinned, on every side. */
  static async start(sides: readonly Side[]): Promise<Datagrams> {
    mkdirSync("build/bench", { recursive: true });
    runNow("clang", "-O2", "-o", PROGRAM, SOURCE);
    const datagrams = new Datagrams();
    await Promise.all(sides.map((side) => datagrams.#start(side)));
    return datagrams;
  }

  async #start(side: Side): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const receiver = { heard: resolve };
    const argv = pinnedIn(side.server, RECEIVER_CPU, PROGRAM, "receive", String(PORT));
    const child = startProcess(argv, (line) => receiver.heard(line), { input: true });
    child.once("error", reject);
    child.once("close", () => reject(new Error(`the receiver of ${side.name} ended`)));
    this.#receivers.set(side, Object.assign(receiver, { child }));
    await promise;
  }

  /** How many came so far, when no more are on their way. */
  #received(side: Side): Promise<number> {
    const receiver = this.#receivers.get(side)!;
    return new Promise((resolve) => {
      receiver.heard = (line) => resolve(Number(line));
      receiver.child.stdin!.write("\n");
    });
  }

  async sample(side: Side, octets: number, milliseconds: number): Promise<Sample> {
    const before = await this.#received(side);
    const drops = { ...kernelDrops(side.namespaces), ...side.numberedDrops() };
    const clock = cpuClock();
    const argv = pinnedIn(side.client, SENDER_CPU, PROGRAM, "send", side.address, String(PORT), String(octets), String(milliseconds));
    const [sent = NaN, ns = NaN] = (await finish(argv)).split(" ").map(Number);
    const packets = (await this.#received(side)) - before;
    const use = cpuSince(clock);
    const after = { ...kernelDrops(side.namespaces), ...side.numberedDrops() };
    return {
      ...{ side: side.name, seconds: ns / 1e9, bytes: packets * octets, packets, lost: sent - packets, retransmits: 0 },
      ...{ drops: dropsSince(drops, after), ...use },
    };
  }
}
