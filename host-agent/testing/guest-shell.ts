import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What a command printed, and whether it succeeded. */
export interface Outcome {
  ok: boolean;
  output: string;
}

/** Runs a command inside a network namespace, for tests; never throws for a command that fails. */
export async function inNamespace(path: string, ...argv: string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run("nsenter", [`--net=${path}`, "--", ...argv], { timeout: 20_000 });
    return { ok: true, output: stdout + stderr };
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    return { ok: false, output: stdout + stderr };
  }
}
