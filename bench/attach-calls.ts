import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { KINDS } from "./lib/call-kinds.ts";
import type { Asked, CallKind, Sample } from "./lib/call-kinds.ts";
import { table } from "./lib/report.ts";
import { bench } from "./lib/run.ts";
import { quantile, spreadText } from "./lib/stats.ts";

// What attaching, detaching and creating costs the control plane alone (hosts answer at once): statements, processor time, milliseconds.
// `--peer <directory>`: another working copy of this repository, asked in turn, so that a change can be judged on a busy machine.
// `--trace`: the statements of one call of each kind.

const number = { type: "string" } as const;
const { values } = parseArgs({ options: { pairs: number, count: number, peer: number, trace: { type: "boolean" } } });
const [pairs, count] = [Number(values.pairs ?? 8), Number(values.count ?? 25)];
/** Enough for code and plans of queries to be what they stay. */
const WARM = 120;
const ASKED: readonly Asked[] = [...KINDS.map((kind) => ({ kind, count, atOnce: 1 })), { kind: "created", count: count * 2, atOnce: 16 }];
const nameOf = ({ kind, atOnce }: Asked): string => {
  const names: Record<CallKind, string> = {
    committed: "attach, COMMITTED",
    programmed: "attach, PROGRAMMED",
    detached: "detach",
    created: "create",
  };
  return atOnce === 1 ? names[kind] : `${names[kind]}, ${atOnce} at once`;
};

/** The next message of a side. @throws Error when it has ended instead */
function heard(side: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a side ended with ${code}`));
    side.once("exit", ended);
    side.once("message", (message) => {
      side.off("exit", ended);
      resolve(message);
    });
  });
}

await bench("attach-calls", async (report, cleanup) => {
  const directories = [".", ...(values.peer === undefined ? [] : [values.peer])].map((path) => resolve(path));
  const sides: ChildProcess[] = [];
  for (const directory of directories) {
    const child = fork(resolve(import.meta.dirname, "lib/call-side.ts"), [directory]);
    cleanup(async () => {
      if (child.exitCode !== null || !child.connected) return;
      const ended = once(child, "exit");
      child.send("end");
      await ended;
    });
    await heard(child);
    sides.push(child);
  }
  const ask = async (side: ChildProcess, asked: Asked): Promise<Sample> => {
    const answer = heard(side) as Promise<Sample>;
    side.send(asked);
    return answer;
  };
  for (const side of sides) for (const asked of ASKED) await ask(side, { ...asked, count: Math.ceil(WARM / asked.atOnce) * asked.atOnce });
  const rounds = new Map<Asked, Sample[][]>(ASKED.map((asked) => [asked, []]));
  for (let round = 0; round < pairs; round += 1) {
    for (const [asked, samples] of rounds) {
      const own: Sample[] = [];
      for (let i = 0; i < sides.length; i += 1) {
        const which = (i + round) % sides.length;
        const side = sides[which];
        if (side !== undefined) own[which] = await ask(side, asked);
      }
      samples.push(own);
      for (const [which, { trace: _, ...sample }] of own.entries()) report.sample({ side: which, ...asked, ...sample });
    }
  }
  const measures = {
    statements: (sample: Sample) => sample.statements,
    "CPU ms": (sample: Sample) => sample.cpuMs,
    "ms p50": (sample: Sample) => quantile(sample.wallMs, 0.5),
    "ms of all, a call": (sample: Sample) => sample.allMs / sample.wallMs.length,
  };
  const rows = [["", ...Object.keys(measures).flatMap((name) => (sides.length > 1 ? [name, "peer", "ratio"] : [name]))]];
  for (const [asked, samples] of rounds) {
    const cells = Object.values(measures).flatMap((of) => {
      const at = (which: number): number[] => samples.flatMap((round) => round.slice(which, which + 1).map(of));
      const text = (which: number): string => quantile(at(which), 0.5).toFixed(2);
      const ratios = at(0).map((value, i) => value / (at(1)[i] ?? NaN));
      return sides.length > 1 ? [text(0), text(1), spreadText(ratios)] : [text(0)];
    });
    rows.push([nameOf(asked), ...cells]);
  }
  report.say(`${pairs} rounds of ${count} of each, in turn; medians, ratios round by round (middle half)`);
  report.say(table(rows).join("\n"));
  if (values.trace !== true) return;
  for (const [asked, samples] of rounds) {
    for (const [which, sample] of (samples.at(-1) ?? []).entries()) {
      report.say(`\n${nameOf(asked)}, ${directories[which] ?? ""}`);
      for (const { connection, from, to, text } of asked.atOnce > 1 ? [] : sample.trace)
        report.say(`${from.toFixed(2).padStart(7)} ${(to - from).toFixed(2).padStart(6)}  #${connection} ${text.slice(0, 150)}`);
    }
  }
});
