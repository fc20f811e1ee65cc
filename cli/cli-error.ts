import type { Command } from "commander";
import { callFailure } from "#lib/rpc/client-error.ts";
import { inFlags } from "./field-flags.ts";

/** Exit codes, by what the caller can do about it. Shown by `plenum --help`. */
export const ExitCode = {
  OK: 0,
  /** Ours, or unforeseen. */
  FAILED: 1,
  /** The command or its input is wrong. */
  USAGE: 2,
  /** No answer: nothing runs there, or it took too long. A repeat may succeed. */
  UNREACHABLE: 3,
  /** No valid token, or not allowed. */
  NOT_ALLOWED: 4,
  /** No such resource, or none that the caller may see. */
  NOT_FOUND: 5,
  /** The state of things does not allow it: conflicts, dependants, limits. */
  CONFLICT: 6,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Something that the person at the terminal can mend. */
export class CliError extends Error {
  readonly remedy: string;
  readonly exitCode: ExitCode;
  /** Lines between the two. */
  readonly details: readonly string[];

  /** @param message the fact; @param remedy what to do about it */
  constructor(
    message: string,
    remedy: string,
    exitCode: ExitCode = ExitCode.FAILED,
    options: ErrorOptions & { details?: readonly string[] } = {},
  ) {
    super(message, options);
    this.remedy = remedy;
    this.exitCode = exitCode;
    this.details = options.details ?? [];
  }
}

const BY_STATUS: Readonly<Record<string, { exitCode: ExitCode; remedy: string }>> = {
  INVALID_ARGUMENT: { exitCode: ExitCode.USAGE, remedy: "" },
  OUT_OF_RANGE: { exitCode: ExitCode.USAGE, remedy: "" },
  UNAUTHENTICATED: { exitCode: ExitCode.NOT_ALLOWED, remedy: "name a file with a valid token: --token-file or PLENUM_TOKEN_FILE" },
  PERMISSION_DENIED: { exitCode: ExitCode.NOT_ALLOWED, remedy: "use a token whose role allows it (`plenum whoami` says what this one is)" },
  NOT_FOUND: { exitCode: ExitCode.NOT_FOUND, remedy: "" },
  ALREADY_EXISTS: { exitCode: ExitCode.CONFLICT, remedy: "" },
  FAILED_PRECONDITION: { exitCode: ExitCode.CONFLICT, remedy: "" },
  RESOURCE_EXHAUSTED: { exitCode: ExitCode.CONFLICT, remedy: "" },
  ABORTED: { exitCode: ExitCode.CONFLICT, remedy: "run it again" },
  UNAVAILABLE: {
    exitCode: ExitCode.UNREACHABLE,
    remedy: "see that Plenum runs there (`plenum up`) and that --endpoint and --ca-file are its own",
  },
  DEADLINE_EXCEEDED: { exitCode: ExitCode.UNREACHABLE, remedy: "look at the resource: what was committed stays" },
};

/** "plenum host list". */
export const pathOf = (command: Command): string => (command.parent === null ? "" : `${pathOf(command.parent)} `) + command.name();

/** Whether the help says so of the command, or of those that it is one of. */
export const isForOperators = (command: Command): boolean =>
  command.description().includes("(operator)") || (command.parent !== null && isForOperators(command.parent));

/**
 * Text for standard error (flag, fact, remedy) and the exit code of any error; `command` is the one that failed, if it came so far. Secrets
 * are never part of an error.
 */
export function explain(error: unknown, command?: Command): { text: string; exitCode: ExitCode } {
  if (error instanceof CliError) return { text: lines(error.message, error.details, error.remedy), exitCode: error.exitCode };
  const failure = callFailure(error);
  if (failure === undefined) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { text: lines(message, [], ""), exitCode: ExitCode.FAILED };
  }
  const { exitCode, remedy } = BY_STATUS[failure.status] ?? { exitCode: ExitCode.FAILED, remedy: "" };
  const reason = failure.reason === "" ? failure.status : failure.reason;
  const { violations } = failure;
  const names = violations.map(({ field }) => field);
  const inWords = (text: string): string => (command === undefined ? text : inFlags(command, text, names));
  // A single violation is the message itself.
  const fields = violations.length < 2 ? [] : violations.map(({ field, description }) => inWords(`${field} ${description}`));
  if (command !== undefined && names[0] === "update_mask")
    return { text: lines("nothing says what to change", [], `give at least one of ${changersOf(command).join(", ")}`), exitCode };
  return { text: lines(`${inWords(failure.message)} (${reason})`, fields, remedy), exitCode };
}

/** Options of an update that say what is to be otherwise. */
const changersOf = (command: Command): string[] =>
  command.options.map(({ long }) => long ?? "").filter((long) => !["--etag", "--wait", "--timeout", "--account"].includes(long));

function lines(message: string, fields: readonly string[], remedy: string): string {
  const rest = [...fields.map((field) => `  ${field}`), ...(remedy === "" ? [] : [`  remedy: ${remedy}`])];
  return [`plenum: ${message}`, ...rest].join("\n");
}
