import type { CompatServiceDefinition } from "nice-grpc";
import type { Command } from "commander";
import { openChannel } from "#lib/rpc/client.ts";
import type { PlenumClient, RpcChannel } from "#lib/rpc/client.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { CliError, ExitCode } from "./cli-error.ts";
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
  /** Whether a call failed because the caller may not make it. */
  refused(error: unknown): boolean;
}

/** Waits of a minute are allowed by the contract; a call must outlive them. */
const DEADLINE_MS = 75_000;

/** The longest list that may be asked for. */
const MAX_LIMIT = 1_000_000;

function open(options: GlobalOptions, channel: RpcChannel): Session {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const limit = options.limit === undefined ? undefined : parseNumber(options.limit, 1, MAX_LIMIT, "limit");
  return {
    client: (definition) => channel.client(definition),
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
      const session = open(global, channel);
      const { args, options } = await resolveNames(new Names(session), command, all.slice(0, -2), all.at(-2) as Record<string, unknown>);
      await body(session, ...([...args, options] as Args));
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
