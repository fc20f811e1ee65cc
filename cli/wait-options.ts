import type { Command } from "commander";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { Duration } from "#gen/google/protobuf/duration.ts";
import { duration, parseDuration, parseWord } from "./values.ts";

const WAITS = { committed: WaitFor.COMMITTED, programmed: WaitFor.PROGRAMMED, reachable: WaitFor.REACHABLE };

/** What a command waits for after its commit. */
export interface WaitOptions {
  wait: string;
  timeout: string;
}

/** --wait and --timeout of a command whose call takes them. */
export function addWaitOptions(command: Command): void {
  command
    .option("--wait <what>", `what to wait for: ${Object.keys(WAITS).join(", ")}`, "programmed")
    .option("--timeout <time>", "wait at most this long, up to 60s", "10s");
}

/** The fields of the request. @throws CliError */
export function waitFrom(options: WaitOptions): { wait: WaitFor; waitTimeout: Duration } {
  return { wait: parseWord(WAITS, options.wait, "wait"), waitTimeout: duration(parseDuration(options.timeout)) };
}
