import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { root } from "../../rules/repository.ts";

/**
 * Our own environment without settings of `plenum`: a test's launcher is told everything by its arguments. With a cache of stripped
 * types, which halves what each of the many commands of these tests costs.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PLENUM_")));
  return {
    ...env,
    PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}`,
    NODE_COMPILE_CACHE: join(root, "build/compile-cache"),
  };
}

/** `plenum up` or the demo as somebody at a terminal starts it: in a process group of its own, as a shell would make it. */
export interface Launcher {
  child: ChildProcess;
  /** All that it has printed so far, both streams. */
  readonly output: string;
  /** Resolves when `output` matches. @throws Error if it ends or `limitMs` pass before */
  says(pattern: RegExp, limitMs?: number): Promise<RegExpExecArray>;
  /** Resolves with how it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** To it alone, as a service manager or `plenum down` sends. */
  signal(name: NodeJS.Signals): void;
  /** To its whole process group, as the terminal does for Ctrl-C. */
  signalGroup(name: NodeJS.Signals): void;
}

/** @param script below the root of the repository; @param env beside the plain environment */
export function launch(script: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Launcher {
  // In a group of its own it outlives a test run that is cut off: it is told to end, and takes down what it made.
  const child = spawn("setpriv", ["--pdeathsig", "TERM", "--", process.execPath, join(root, script), ...args], {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...plainEnvironment(), ...env },
  });
  let output = "";
  const listeners = new Set<() => void>();
  const take = (chunk: Buffer): void => {
    output += chunk.toString();
    for (const listener of listeners) listener();
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const ended = once(child, "close").then(([code, signal]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null }));
  return {
    child,
    get output() {
      return output;
    },
    ended,
    async says(pattern, limitMs = 60_000) {
      const found = Promise.withResolvers<RegExpExecArray>();
      const look = (): void => {
        const match = pattern.exec(output);
        if (match !== null) found.resolve(match);
      };
      const fail = (why: string): void => found.reject(new Error(`${script} did not print ${pattern} ${why}; it printed:\n${output}`));
      const timer = setTimeout(() => fail(`within ${limitMs} ms`), limitMs);
      void ended.then(() => fail("before it ended"));
      listeners.add(look);
      look();
      try {
        return await found.promise;
      } finally {
        clearTimeout(timer);
        listeners.delete(look);
      }
    },
    signal: (name) => void child.kill(name),
    signalGroup: (name) => void process.kill(-child.pid!, name),
  };
}
