import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Upgrade } from "../index.ts";
import type { LabHost } from "./lab.ts";

/** This version's stand-in for an agent. */
export const OWN_PROCESS = join(import.meta.dirname, "agent-process.ts");
const KILL_AT = join(import.meta.dirname, "kill-at.ts");

export interface DatapathProcess {
  /** What it took over; "killed": it died on the way. */
  upgrade: Upgrade | undefined | "killed";
  kill(): Promise<void>;
}

/**
 * Starts an agent's stand-in (agent-process.ts, of this version or another) on a host; it runs when this resolves.
 * @param killAt it is killed before this change that it makes (1 is the first), if it makes as many
 */
export async function startDatapath(
  host: LabHost,
  script: string,
  ifindexes: readonly number[] = [],
  killAt = 0,
): Promise<DatapathProcess> {
  const argv = [`--net=${host.path}`, process.execPath, ...(killAt > 0 ? ["--import", KILL_AT] : []), script];
  const agent = spawn("nsenter", [...argv, JSON.stringify([host.options, ...ifindexes])], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PLENUM_KILL_AT: String(killAt) },
  });
  const gone = once(agent, "exit");
  const said = await Promise.race([
    once(agent.stdout, "data").then(([data]) => String(data)),
    gone.then(([, signal]) => signal as unknown),
  ]);
  if (said === "SIGKILL") return { upgrade: "killed", kill: () => Promise.resolve() };
  if (typeof said !== "string" || !said.startsWith("{")) throw new Error(`${script} ended at its start`);
  return {
    upgrade: (JSON.parse(said) as { upgrade?: Upgrade }).upgrade,
    kill: async () => {
      agent.kill("SIGKILL");
      await gone;
    },
  };
}
