import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

/** A real agent in a host's network namespace, for tests. */
export class AgentProcess {
  #argv: readonly string[];
  #child: ChildProcess | undefined;
  /** What it wrote to standard error, over all its lives. */
  log = "";

  /** @param options as on the command line, without dashes: `{ "state-dir": … }` */
  constructor(netnsPath: string, options: Readonly<Record<string, string>>) {
    const flags = Object.entries(options).flatMap(([flag, value]) => [`--${flag}`, value]);
    this.#argv = [`--net=${netnsPath}`, "--", process.execPath, MAIN, ...flags];
  }

  /** Another one, with the same options. */
  twin(): AgentProcess {
    const other = new AgentProcess("", {});
    other.#argv = this.#argv;
    return other;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    const child = spawn("nsenter", this.#argv, { stdio: ["ignore", "ignore", "pipe"], env: { PATH: process.env["PATH"] } });
    child.stderr.on("data", (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    this.#child = child;
  }

  /** Resolves once it is gone. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
}
