import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { Lab } from "../host-agent/out/datapath/testing/lab.ts";
import type { WholePath } from "./lib/mapping-path.ts";
import { portCosts } from "./lib/mapping-port.ts";
import { STAGES } from "./lib/mapping-stages.ts";
import type { Asked, Memory, Stage, StageTimes } from "./lib/mapping-stages.ts";
import { table } from "./lib/report.ts";
import { bench } from "./lib/run.ts";
import { quantile, spreadText } from "./lib/stats.ts";

// A network of a million addresses: memory of an entry in the kernel, in the service and in the agent, and what it costs from the
// service's memory into a host's kernel, stage by stage. The peers in the same run are the system call alone, one call an entry, and with
// `--peer <directory>` another working copy of this repository, asked in turn. DESIGN 6: at most 150 bytes each, at most 3 s.

const number = { type: "string" } as const;
const { values } = parseArgs({ options: { pairs: number, count: number, peer: number, "no-path": { type: "boolean" } } });
const [pairs, count] = [Number(values.pairs ?? 3), Number(values.count ?? 1_000_000)];

/** The next message of a side. @throws Error when it has ended instead */
function heard<T>(side: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a side ended with ${code}`));
    side.once("exit", ended);
    side.once("message", (message) => {
      side.off("exit", ended);
      resolve(message as T);
    });
  });
}

await bench("mappings", async (report, cleanup) => {
  const lab = new Lab();
  cleanup(() => lab.dispose());
  const ports = portCosts(lab.host("h1", "198.18.0.1").datapath, count);
  report.sample({ ...ports });
  report.say(`${count} entries; processor's time, µs an entry: ${ports.floor.toFixed(2)} the batched system call alone (the floor),`);
  report.say(
    `  ${ports.fresh.toFixed(2)} the agent's port for a new network's, ${ports.looked.toFixed(2)} for what may be there, ${ports.single.toFixed(2)} one a call`,
  );

  const directories = [".", ...(values.peer === undefined ? [] : [values.peer])].map((path) => resolve(path));
  const sides: ChildProcess[] = [];
  for (const directory of directories) {
    const child = fork(resolve(import.meta.dirname, "lib/mapping-side.ts"), [directory, String(count)], { execArgv: ["--expose-gc"] });
    cleanup(async () => {
      if (child.exitCode !== null || !child.connected) return;
      const ended = once(child, "exit");
      child.send({ kind: "end" } satisfies Asked);
      await ended;
    });
    await heard(child);
    sides.push(child);
  }
  const ask = <T>(side: ChildProcess, kind: Asked["kind"]): Promise<T> => {
    const answer = heard<T>(side);
    side.send({ kind });
    return answer;
  };

  const rounds: StageTimes[][] = [];
  for (let round = 0; round < pairs; round += 1) {
    const own: StageTimes[] = [];
    for (let i = 0; i < sides.length; i += 1) {
      const which = (i + round) % sides.length;
      own[which] = await ask(sides[which]!, "round");
    }
    rounds.push(own);
    for (const [side, stages] of own.entries()) report.sample({ side, stages });
  }
  const columns = directories.flatMap((_, side) => (side === 0 ? ["CPU ms", "ms"] : ["peer's CPU ms", "ms", "CPU, ours / peer's"]));
  const rows = [["", ...columns]];
  for (const stage of Object.keys(STAGES) as Stage[]) {
    const at = (side: number, of: "cpuMs" | "ms"): number[] => rounds.map((round) => round[side]?.[stage][of] ?? NaN);
    const median = (side: number, of: "cpuMs" | "ms"): string => quantile(at(side, of), 0.5).toFixed(1);
    const cells = directories.flatMap((_, side) => [median(side, "cpuMs"), median(side, "ms")]);
    const ratios = at(0, "cpuMs").map((value, i) => value / (at(1, "cpuMs")[i] ?? NaN));
    rows.push([STAGES[stage], ...cells, ...(sides.length > 1 ? [spreadText(ratios)] : [])]);
  }
  report.say(`${pairs} rounds, medians; ratios round by round (middle half)`);
  report.say(table(rows).join("\n"));
  for (const [side, child] of sides.entries()) {
    const name = side === 0 ? "ours" : "peer";
    const memory = await ask<Memory>(child, "memory");
    report.sample({ side, memory });
    const each = (octets: number): string => octets.toFixed(1);
    report.say(
      `${name}: bytes an entry: kernel ${each(memory.kernel)} and ${each(memory.kernelEmpty)} for the empty table (its own account), ` +
        `service ${each(memory.service)}, agent ${each(memory.agent)}`,
    );
    if (values["no-path"] === true) continue;
    const path = await ask<WholePath>(child, "path");
    report.sample({ side, path });
    const s = (ms: number): string => `${(ms / 1e3).toFixed(2)} s`;
    report.say(
      `${name}: loaded from PostgreSQL in ${s(path.loadMs)}; from the service's memory to the kernel ${s(path.kernelMs)} ` +
        `(CPU ${s(path.cpuMs)}), of which packing, TLS and gRPC ${s(path.receivedMs)}; ` +
        `${each(path.serviceBytesEach)} bytes an entry in the service, ${each(path.wireBytesEach)} on the wire`,
    );
  }
});
