import type { CompatServiceDefinition } from "nice-grpc";
import type { Command } from "commander";
import { openChannel } from "#lib/rpc/client.ts";
import type { PlenumClient, RpcChannel } from "#lib/rpc/client.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { CliError, ExitCode } from "./cli-error.ts";
import { resolveConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { formatList, formatOne } from "./output.ts";
import type { OutputFormat, ResourceTable } from "./output.ts";

export interface GlobalOptions extends ConnectionFlags {
  output: OutputFormat;
  requestId?: string;
}

/** What a command needs: clients, and a way to say what came of it. */
export interface Session {
  client<Definition extends CompatServiceDefinition>(definition: Definition): PlenumClient<Definition>;
  /** Idempotency key of this call (C10): --request-id, else a new one. */
  requestId: string;
  list<T>(table: ResourceTable<T>, rows: readonly T[]): void;
  one<T>(table: Pick<ResourceTable<T>, "toJSON">, row: T): void;
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

function open(options: GlobalOptions, channel: RpcChannel): Session {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  return {
    client: (definition) => channel.client(definition),
    requestId: options.requestId ?? crypto.randomUUID(),
    list: (table, rows) => print(formatList(options.output, table, rows)),
    one: (table, row) => print(formatOne(options.output, table, row)),
    print,
    say: (text) => {
      if (options.output === "table") print(text);
    },
    json: options.output === "json",
    refused: (error) => callFailure(error)?.status === "PERMISSION_DENIED",
  };
}

/** Wraps a command's body: connection from flags, environment or context; closed afterwards. The last argument is commander's command. */
export function withSession<Args extends unknown[]>(
  body: (session: Session, ...args: Args) => Promise<void>,
): (...args: [...Args, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const options = command.optsWithGlobals<GlobalOptions>();
    if (options.output !== "table" && options.output !== "json") {
      throw new CliError(`${JSON.stringify(options.output)} is not an output format`, "write -o table or -o json", ExitCode.USAGE);
    }
    const { endpoint, ca, token } = await resolveConnection(options, process.env);
    const channel = openChannel({ address: endpoint, ca, token, deadlineMs: DEADLINE_MS });
    try {
      await body(open(options, channel), ...(all.slice(0, -1) as Args));
    } finally {
      channel.close();
    }
  };
}

/** All pages of a list. */
export async function allPages<Item, Answer extends { nextPageToken: string }>(
  page: (request: { pageSize: number; pageToken: string }) => Promise<Answer>,
  items: (answer: Answer) => Item[],
): Promise<Item[]> {
  const all: Item[] = [];
  let pageToken = "";
  do {
    const answer = await page({ pageSize: 500, pageToken });
    all.push(...items(answer));
    pageToken = answer.nextPageToken;
  } while (pageToken !== "");
  return all;
}

/** A field that every answer carries; its absence is a server's bug. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CliError(`the server's answer has no ${what}`, "use a `plenum` of the server's own version");
  return value;
}
