import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { namespacePath } from "#lib/linux/index.ts";
import { CliError } from "../cli-error.ts";

export interface SupervisedOptions {
  /** For people: "agent h1". */
  name: string;
  /** Network namespace to run in (name under /run/netns). */
  namespace: string;
  /** Node script and its arguments; asked at each start. */
  script: () => readonly string[];
  /** Standard output and error are appended to it. */
  logFile: string;
  /** One line for people, when something happened that nobody asked for. */
  tell: (line: string) => void;
  /** It sends "ready" over its channel when it works. */
  saysReady: boolean;
  /** How long it may take to end by TERM before it is killed. */
  stopMs: number;
}

const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 5_000;
/** Alive this long: the next death is a new story. */
const STEADY_MS = 10_000;
const LOG_LINES = 15;

/** Settings of this command (PLENUM_DATA_DIR, …) are not the child's: its own come as arguments. */
function childEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PLENUM_")));
}

/**
 * A child in a network namespace that is started again when it dies. It is in a session of its own (a Ctrl-C at the terminal reaches
 * only us) and is told by the kernel when we die in whatever way.
 */
export class Supervised {
  readonly #options: SupervisedOptions;
  #child: ChildProcess | undefined;
  /** The one whose end was asked for. */
  #killed: ChildProcess | undefined;
  #wanted = false;
  #wasReady = false;
  #backoff = FIRST_BACKOFF_MS;
  #ended: Promise<void> = Promise.resolve();
  #ready = Promise.withResolvers<void>();

  constructor(options: SupervisedOptions) {
    this.#options = options;
  }

  /** Undefined while it is not running. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the process that runs now, or runs next, has sent "ready". */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Starts it. One that ends before its first "ready" is not started again (`started` tells). */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#spawn();
  }

  #spawn(): void {
    const { namespace, script, logFile, name, tell } = this.#options;
    const log = openSync(logFile, "a", 0o640);
    const started = performance.now();
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    // setpriv and nsenter replace themselves: the pid is the script's own.
    const launch = ["--pdeathsig=TERM", "--", "nsenter", `--net=${namespacePath(namespace)}`, "--", process.execPath, ...script()];
    let child: ChildProcess;
    try {
      child = spawn("setpriv", launch, { stdio: ["ignore", log, log, "ipc"], env: childEnvironment(), detached: true });
    } finally {
      closeSync(log);
    }
    this.#child = child;
    child.on("message", (message) => {
      if (message !== "ready") return;
      this.#wasReady = true;
      this.#ready.resolve();
    });
    const end = (how: string): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#ready = Promise.withResolvers();
      ended.resolve();
      if (this.#options.saysReady && !this.#wasReady) this.#wanted = false;
      if (!this.#wanted) return;
      if (performance.now() - started > STEADY_MS) this.#backoff = FIRST_BACKOFF_MS;
      if (this.#killed !== child) tell(`${name} ended (${how}); it is started again; its log: ${logFile}`);
      void this.#again();
    };
    child.on("error", (error) => end(error.message));
    child.on("exit", (code, signal) => end(signal ?? `exit code ${code}`));
  }

  async #again(): Promise<void> {
    const wait = this.#backoff;
    this.#backoff = Math.min(LAST_BACKOFF_MS, this.#backoff * 2);
    await delay(wait, undefined, { ref: false });
    if (this.#wanted && this.#child === undefined) this.#spawn();
  }

  /** Sends a signal that ends the process; resolves when it has ended. It is then started again. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const ended = this.#ended;
    this.#killed = this.#child;
    if (this.#child?.kill(signal) !== true) return;
    await ended;
  }

  /** TERM, after a while KILL; not started again. Not running: no effect. */
  async stop(): Promise<void> {
    this.#wanted = false;
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), this.#options.stopMs);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Rejects when the process ends before it was "ready". @throws CliError with the end of its log */
  async started(): Promise<void> {
    const ended = this.#ended;
    const ready = this.#ready.promise.then(() => true);
    if (await Promise.race([ready, ended.then(() => false)])) return;
    throw new CliError(`${this.#options.name} ended at its start`, `see its log, ${this.#options.logFile}, which ends:\n${this.logTail()}`);
  }

  logTail(): string {
    return readFileSync(this.#options.logFile, "utf8").trimEnd().split("\n").slice(-LOG_LINES).join("\n");
  }
}
