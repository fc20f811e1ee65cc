import type { CompatServiceDefinition } from "nice-grpc";
import type { Command } from "commander";
import { openChannel } from "#lib/rpc/client.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { CliError, ExitCode, isForOperators, pathOf } from "./cli-error.ts";
import { resolveConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { Names } from "./names.ts";
import { formatList, formatOne, OUTPUT_FORMATS } from "./output.ts";
import type { OutputFormat, ResourceTable, Shape } from "./output.ts";
import { pagesOf } from "./pages.ts";
import { resolveNames } from "./resolve.ts";
import { parseNumber } from "./values.ts";

export interface GlobalOptions extends ConnectionFlags {
  output: OutputFormat;
  requestId?: string;
  /** Of a list. */
  limit?: string;
}

/** Who can call. */
export interface Caller {
  client<Definition extends CompatServiceDefinition>(definition: Definition): PlenumClient<Definition>;
}

/** What a command needs: clients, and a way to say what came of it. */
export interface Session extends Caller {
  /** Idempotency key of this call (C10): --request-id, else a new one. */
  requestId: string;
  /** All pages of a list, or up to --limit. */
  pages: <Item, Answer extends { nextPageToken: string }>(
    page: (request: { pageSize: number; pageToken: string }) => Promise<Answer>,
    items: (answer: Answer) => Item[],
  ) => Promise<Item[]>;
  list<T>(table: ResourceTable<T>, rows: readonly T[]): void;
  one<T>(shape: Shape<T>, row: T): void;
  /** A line as it is, whatever the format. */
  print(text: string): void;
  /** A sentence for people; nothing with -o json. */
  say(text: string): void;
  /** Whether the answer is for a program. */
  json: boolean;
  /** The account that was given, else the caller's own; "" for an operator. */
  account(given: string): Promise<string>;
  /** Whether a call failed because the caller may not make it. */
  refused(error: unknown): boolean;
}

/** Waits of a minute are allowed by the contract; a call must outlive them. */
const DEADLINE_MS = 75_000;

/** Shorter waits are not worth a word. */
const TELL_AFTER_MS = 2_000;

/** The longest list that may be asked for. */
const MAX_LIMIT = 1_000_000;

function open(options: GlobalOptions, caller: Caller, names: Names): Session {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const limit = options.limit === undefined ? undefined : parseNumber(options.limit, 1, MAX_LIMIT, "limit");
  return {
    client: (definition) => caller.client(definition),
    account: async (given) => (given === "" ? await names.ownAccount() : given),
    requestId: options.requestId ?? crypto.randomUUID(),
    async pages(page, items) {
      // One more than is shown, to know whether that is all.
      const all = await pagesOf(page, items, limit === undefined ? undefined : limit + 1);
      if (limit === undefined || all.length <= limit) return all;
      process.stderr.write(`plenum: the first ${limit} only; --limit ${limit * 10} shows more\n`);
      return all.slice(0, limit);
    },
    list: (table, rows) => {
      const text = formatList(options.output, table, rows);
      if (text !== "") print(text);
    },
    one: (shape, row) => print(formatOne(options.output, shape, row)),
    print,
    say: (text) => {
      if (options.output === "table") print(text);
    },
    json: options.output === "json",
    refused: (error) => callFailure(error)?.status === "PERMISSION_DENIED",
  };
}

/** A call that waits for hosts (wait-options.ts) and takes long says so, once. */
function tellOfWaiting({ wait, timeout }: Record<string, unknown>): NodeJS.Timeout | undefined {
  if (typeof wait !== "string" || typeof timeout !== "string" || wait === "committed") return undefined;
  const text = `plenum: waiting up to ${timeout} until it is ${wait}; it is committed, whatever comes of that\n`;
  return setTimeout(() => process.stderr.write(text), TELL_AFTER_MS);
}

/**
 * What an operator's command answers to a customer would read as if there were no hosts or no such host: it says who it is for instead.
 * @throws CliError for who is no operator
 */
async function refuseCustomer(caller: Caller, command: Command, cause?: unknown): Promise<void> {
  const { accountId, principalId, role } = await caller.client(TokenServiceDefinition).whoAmI({});
  if (role === Role.OPERATOR) return;
  throw new CliError(
    `\`${pathOf(command)}\` is for operators of the installation, and you are ${principalId} of ${accountId}`,
    "ask an operator, or use an operator's token (--token-file)",
    ExitCode.NOT_ALLOWED,
    { cause },
  );
}

/**
 * Wraps a command's body: connection from flags, environment or context; closed afterwards. Names among arguments and options become ids
 * (resolve.ts). The last argument is commander's command, the one before it the options.
 */
export function withSession<Args extends unknown[]>(
  body: (session: Session, ...args: Args) => Promise<void>,
): (...args: [...Args, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const global = command.optsWithGlobals<GlobalOptions>();
    if (!OUTPUT_FORMATS.includes(global.output)) {
      throw new CliError(
        `${JSON.stringify(global.output)} is not an output format`,
        `write -o ${OUTPUT_FORMATS.join(", -o ")}`,
        ExitCode.USAGE,
      );
    }
    const { endpoint, ca, token } = await resolveConnection(global, process.env);
    const channel = openChannel({ address: endpoint, ca, token, deadlineMs: DEADLINE_MS, repeatUnavailable: true });
    try {
      const names = new Names(channel);
      // To a customer a list of hosts is empty: who asks is asked first.
      if (isForOperators(command) && command.name() === "list") await refuseCustomer(channel, command);
      const { args, options } = await resolveNames(names, command, all.slice(0, -2), all.at(-2) as Record<string, unknown>);
      const waiting = tellOfWaiting(options);
      try {
        await body(open(global, channel, names), ...([...args, options] as Args));
      } finally {
        clearTimeout(waiting);
      }
    } catch (error) {
      if (isForOperators(command)) await refuseCustomer(channel, command, error);
      throw error;
    } finally {
      channel.close();
    }
  };
}

/** A field that every answer carries; its absence is a server's bug. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CliError(`the server's answer has no ${what}`, "use a `plenum` of the server's own version");
  return value;
}
