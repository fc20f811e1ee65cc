import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";

/** One row's change: the columns that were asked for, absent in a row that was deleted. */
export type RowUpdate = { new?: Record<string, unknown>; old?: Record<string, unknown> };
export type Operation = Record<string, unknown>;

interface Message {
  id: number | string | null;
  method?: string;
  params?: unknown[];
  result?: unknown;
  error?: unknown;
}

/** A connection that is kept open to an OVSDB server (RFC 7047): what the command-line tools do anew for each call. */
export class Ovsdb {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #monitors = new Map<string, (table: string, uuid: string, row: RowUpdate) => void>();
  #serial = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const take = splitter((text) => this.#take(JSON.parse(text) as Message));
    socket.setEncoding("utf8").on("data", take);
    socket.once("close", () => this.#waiting.forEach(({ reject }) => reject(new Error("the OVSDB server went away"))));
  }

  static async open(path: string): Promise<Ovsdb> {
    const socket = connect(path);
    await once(socket, "connect");
    return new Ovsdb(socket);
  }

  /** Results of the operations, all or none. @throws Error with what the server said */
  async transact(database: string, ...operations: Operation[]): Promise<Record<string, unknown>[]> {
    const results = (await this.#call("transact", [database, ...operations])) as ({ error?: string } | null)[];
    const failed = results.find((result) => result?.error !== undefined);
    if (failed !== undefined) throw new Error(`${database}: ${JSON.stringify(failed)}`);
    return results as Record<string, unknown>[];
  }

  /** Calls back for every row of the table now and for every change later. */
  async monitor(database: string, table: string, columns: string[], seen: (uuid: string, row: RowUpdate) => void): Promise<void> {
    const name = `${database} ${table}`;
    this.#monitors.set(name, (_, uuid, row) => seen(uuid, row));
    this.#tell(name, await this.#call("monitor", [database, name, { [table]: { columns } }]));
  }

  close(): void {
    this.#socket.destroy();
  }

  #call(method: string, params: unknown[]): Promise<unknown> {
    const id = ++this.#serial;
    this.#socket.write(JSON.stringify({ method, params, id }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #take(message: Message): void {
    if (message.method === "echo") this.#socket.write(JSON.stringify({ id: message.id, result: message.params, error: null }));
    else if (message.method === "update") this.#tell(String(message.params?.[0]), message.params?.[1]);
    else if (typeof message.id === "number") {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === null) waiting?.resolve(message.result);
      else waiting?.reject(new Error(JSON.stringify(message.error)));
    }
  }

  #tell(monitor: string, tables: unknown): void {
    for (const [table, rows] of Object.entries(tables as Record<string, Record<string, RowUpdate>>)) {
      for (const [uuid, row] of Object.entries(rows)) this.#monitors.get(monitor)?.(table, uuid, row);
    }
  }
}

/** Objects come one after the other with nothing between them. */
function splitter(each: (text: string) => void): (chunk: string) => void {
  let text = "";
  let at = 0;
  let depth = 0;
  let quoted = false;
  return (chunk) => {
    text += chunk;
    for (; at < text.length; at++) {
      const c = text[at];
      if (quoted) {
        if (c === "\\") at++;
        else if (c === '"') quoted = false;
      } else if (c === '"') quoted = true;
      else if (c === "{") depth++;
      else if (c === "}" && --depth === 0) {
        each(text.slice(0, at + 1));
        text = text.slice(at + 1);
        at = -1;
      }
    }
  };
}
