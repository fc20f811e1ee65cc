import { CommanderError } from "commander";
import type { Command } from "commander";
import { ExitCode, explain } from "./cli-error.ts";
import { buildProgram } from "./program.ts";

/** One command line, as after `plenum`: what it says goes to standard output, what goes wrong to standard error. Its exit code. */
export async function execute(args: readonly string[]): Promise<ExitCode> {
  let command: Command | undefined;
  try {
    await buildProgram()
      .hook("preAction", (_program, action) => {
        command = action;
      })
      .parseAsync([...args], { from: "user" });
    return ExitCode.OK;
  } catch (error) {
    // commander has said what was wrong already (or showed the help that was asked for).
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
    const { text, exitCode } = explain(error, command);
    process.stderr.write(`${text}\n`);
    return exitCode;
  }
}
