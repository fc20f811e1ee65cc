import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";

/** One command of a run, and how it ended. */
export interface StepResult {
  name: string;
  ok: boolean;
  /** What it printed, if that was kept. */
  output?: string;
}

export interface StepOptions {
  /** Beside our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its output is kept and printed in one piece when it ends: for steps that run beside others. */
  readonly whole?: boolean;
}

const running = new Set<ChildProcess>();
/** Somebody ends us: no step has an outcome any more. */
let ending = false;

/** Runs a command, says how long it took. Never throws for a command that fails. */
export function runStep(name: string, command: string, args: readonly string[], { env = {}, whole = false }: StepOptions = {}) {
  const begin = `\n== ${name}\n`;
  const kept: Buffer[] = [];
  if (!whole) process.stdout.write(begin);
  const start = performance.now();
  const output = whole ? "pipe" : "inherit";
  const child = spawn(command, args, { stdio: ["ignore", output, output], env: { ...process.env, ...env } });
  running.add(child);
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => kept.push(chunk));
  return new Promise<StepResult>((resolve) => {
    const end = (ok: boolean, how: string): void => {
      running.delete(child);
      if (ending) return;
      const said = Buffer.concat(kept).toString();
      const took = ((performance.now() - start) / 1_000).toFixed(1);
      process.stdout.write(`${whole ? begin + said : ""}== ${name}: ${how} (${took} s)\n`);
      resolve({ name, ok, ...(whole ? { output: said } : {}) });
    };
    child.on("error", (error) => end(false, `could not run: ${error.message}`));
    child.on("close", (code, signal) => end(code === 0, code === 0 ? "ok" : `FAILED (${signal ?? `exit code ${code}`})`));
  });
}

/**
 * Whoever ends us ends what we run, and it has the time to put away what it made; a terminal's Ctrl-C reaches it by itself, `kill` and
 * a CI that gives up do not.
 * @param tidy what is left to do when all have ended
 */
export function endStepsOnSignals(tidy: () => Promise<unknown>): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => {
      ending = true;
      process.stdout.write(`\n== ${name}: ending what runs\n`);
      const ended = [...running].map((child) => new Promise((resolve) => child.once("close", resolve)));
      for (const child of running) child.kill(name);
      void Promise.all(ended)
        .then(tidy)
        .finally(() => process.exit(128 + constants.signals[name]));
    });
  }
}
