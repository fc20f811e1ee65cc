import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { Account } from "./account.ts";

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Become this account first (we must be root). */
  readonly account?: Account | undefined;
  /** File descriptor for the child's standard output and error. */
  readonly output: number;
  /**
   * Sent to the child by the kernel when we die in whatever way, so that it never outlives us. It follows the *thread* that spawned:
   * spawn long-lived children from the main thread.
   */
  readonly deathSignal: "KILL" | "QUIT" | "INT" | "TERM";
}

export interface Child {
  readonly pid: number;
  /** Resolves when the child has ended, with how. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly process: ChildProcess;
  /** Send `signal`; after `graceMs` KILL. Resolves when the child has ended. */
  stop(signal: NodeJS.Signals, graceMs: number): Promise<void>;
}

/** Where an executable is, looking in PATH and in the places that an unprivileged PATH leaves out. */
export function findExecutable(name: string): string | undefined {
  const directories = [
    ...(process.env["PATH"] ?? "").split(delimiter),
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
  ];
  for (const directory of directories) {
    if (directory === "") continue;
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue; // not here
    }
  }
  return undefined;
}

/** `command args` under util-linux's setpriv, which execs it: the pid stays the child's own. */
function withSetpriv(setpriv: string, options: ChildOptions): [string, string[]] {
  const { account } = options;
  const identity = account === undefined ? [] : [`--reuid=${account.uid}`, `--regid=${account.gid}`, "--clear-groups", "--no-new-privs"];
  return [setpriv, [...identity, `--pdeathsig=${options.deathSignal}`, "--", options.command, ...options.args]];
}

/** Start a child that dies with us. Rejects when it cannot be started at all. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const setpriv = findExecutable("setpriv");
  const [command, args] = setpriv === undefined ? [options.command, [...options.args]] : withSetpriv(setpriv, options);
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", options.output, options.output],
    // Out of our process group: a Ctrl-C at the terminal must reach us alone, and we stop children in our order.
    detached: true,
    ...(setpriv === undefined && options.account !== undefined ? { uid: options.account.uid, gid: options.account.gid } : {}),
  });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${options.command} has no pid`);
  return {
    pid,
    exited,
    process: child,
    async stop(signal, graceMs) {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      try {
        await exited;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
