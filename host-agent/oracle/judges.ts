import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Judgement } from "./judge.ts";

/** Judges that take turns; each judges one mutant at a time. */
export class Judges {
  readonly #all: readonly ChildProcess[];
  readonly #idle: ChildProcess[];
  readonly #waiting: ((judge: ChildProcess) => void)[] = [];

  constructor(count: number) {
    this.#all = Array.from({ length: count }, () => fork(join(import.meta.dirname, "judge.ts"), { execArgv: [] }));
    this.#idle = [...this.#all];
  }

  async judge(name: string): Promise<Judgement> {
    const judge = this.#idle.pop() ?? (await new Promise<ChildProcess>((resolve) => this.#waiting.push(resolve)));
    try {
      return await judgedBy(judge, name);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(judge);
      else next(judge);
    }
  }

  /** Resolves when they have taken down what they made. */
  async end(): Promise<void> {
    const ended = this.#all.filter(isRunning).map((judge) => once(judge, "exit"));
    for (const judge of this.#all) if (judge.connected) judge.disconnect();
    await Promise.all(ended);
  }
}

const isRunning = (judge: ChildProcess): boolean => judge.exitCode === null && judge.signalCode === null;

async function judgedBy(judge: ChildProcess, name: string): Promise<Judgement> {
  if (!isRunning(judge)) return { failed: "the process that was to judge it has ended" };
  const listening = new AbortController();
  const { signal } = listening;
  const answer = once(judge, "message", { signal }).then(([judgement]) => judgement as Judgement);
  const exit = once(judge, "exit", { signal }).then(([code]): Judgement => ({ failed: `the process that judged it ended with ${code}` }));
  exit.catch(() => undefined); // nobody listens any more
  answer.catch(() => undefined);
  judge.send(name);
  try {
    return await Promise.race([answer, exit]);
  } finally {
    listening.abort();
  }
}
