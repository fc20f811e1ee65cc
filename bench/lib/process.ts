import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";

const running = new Set<ChildProcess>();

/** Runs a program to its end. @throws Error with what it said, unless it ended with 0 */
export function runNow(program: string, ...args: string[]): string {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}: ${stderr}${stdout}`);
  return stdout;
}

/** argv that runs a program in a namespace, pinned to one processor. */
export function pinnedIn(netns: string, cpu: number, ...argv: string[]): string[] {
  return ["taskset", "-c", String(cpu), "nsenter", `--net=${netns}`, "--", ...argv];
}

/** A program of this run that goes on by itself. Ends with the run. */
export function startProcess(argv: readonly string[], onLine: (line: string) => void = () => {}, env = process.env): ChildProcess {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env });
  running.add(child);
  child.once("close", () => running.delete(child));
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    });
  }
  return child;
}

export async function endProcess(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill(signal);
  await ended;
}

/** Runs a program to its end without blocking. @throws Error unless it ended with 0 */
export function finish(argv: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const lines: string[] = [];
  const child = startProcess(argv, (line) => lines.push(line));
  child.once("error", reject);
  child.once("close", (code, signal) => {
    const output = lines.join("\n");
    if (code === 0) resolve(output);
    else reject(new Error(`${argv.join(" ")} ended with ${code ?? signal}: ${output}`));
  });
  return promise;
}

export async function endAllProcesses(): Promise<void> {
  await Promise.all([...running].map((child) => endProcess(child)));
}
