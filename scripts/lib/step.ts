import { spawn } from "node:child_process";

/** One command of a run, and how it ended. */
export interface StepResult {
  name: string;
  ok: boolean;
}

/** Runs a command with our output, says how long it took. Never throws for a command that fails. */
export function runStep(
  name: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<StepResult> {
  process.stdout.write(`\n== ${name}\n`);
  const start = performance.now();
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
  return new Promise((resolve) => {
    const end = (ok: boolean, how: string): void => {
      process.stdout.write(`== ${name}: ${how} (${((performance.now() - start) / 1_000).toFixed(1)} s)\n`);
      resolve({ name, ok });
    };
    child.on("error", (error) => end(false, `could not run: ${error.message}`));
    child.on("exit", (code, signal) => end(code === 0, code === 0 ? "ok" : `FAILED (${signal ?? `exit code ${code}`})`));
  });
}
