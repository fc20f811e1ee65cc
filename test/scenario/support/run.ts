import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, at most `timeoutMs`; never throws for a non-zero code. */
export function run(
  program: string,
  args: readonly string[],
  options: { timeoutMs?: number; env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      {
        timeout: options.timeoutMs ?? 30_000,
        encoding: "utf8",
        env: options.env ?? process.env,
        cwd: options.cwd,
        maxBuffer: 64 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 255;
        resolve({ code, stdout, stderr });
      },
    );
  });
}

/** The same inside a network namespace: what a user of that guest or host would run. */
export function runIn(netns: string, program: string, args: readonly string[], timeoutMs?: number): Promise<Outcome> {
  return run("nsenter", [`--net=${netns}`, "--", program, ...args], timeoutMs === undefined ? {} : { timeoutMs });
}

/** A program that goes on inside a namespace until `stop`. `lines` grows with what it prints. */
export interface Background {
  child: ChildProcess;
  lines: string[];
  /** Resolves with the first line that matches, also one from before. */
  line(pattern: RegExp, timeoutMs?: number): Promise<string>;
  /** Sends the signal (default SIGINT) and waits for the end; all that it printed. */
  stop(signal?: NodeJS.Signals): Promise<string>;
}

export function background(netns: string, program: string, args: readonly string[]): Background {
  const child = spawn("nsenter", [`--net=${netns}`, "--", program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let rest = "";
  const take = (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    for (const wake of waiting) wake();
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const ended = once(child, "close");
  return {
    child,
    lines,
    line(pattern, timeoutMs = 10_000) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find((l) => pattern.test(l));
          if (found === undefined) return;
          waiting.delete(look);
          clearTimeout(timer);
          resolve(found);
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`${program} did not print ${pattern} within ${timeoutMs} ms; it printed: ${lines.join(" | ")}`));
        }, timeoutMs);
        waiting.add(look);
        look();
      });
    },
    async stop(signal = "SIGINT") {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
      return [...lines, rest].join("\n");
    },
  };
}
