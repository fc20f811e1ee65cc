import { setTimeout as after } from "node:timers/promises";
import type { Command } from "commander";
import { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { WatchInterfacesResponse } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { formatLine, goneLine, headLine } from "../output.ts";
import { withSession } from "../session.ts";
import type { Session } from "../session.ts";
import { watchedInterfaces } from "../tables.ts";
import { parseDuration } from "../values.ts";
import { addFilterOptions, filterOf } from "./interface-filter.ts";
import type { FilterOptions } from "./interface-filter.ts";

interface WatchOptions extends FilterOptions {
  for?: string;
}

type Change = "THERE" | "CHANGED" | "GONE";

/** Pauses between attempts to connect again, milliseconds; the last one goes on. */
const PAUSES_MS = [200, 500, 1_000, 2_000, 5_000];

const EXAMPLE = `
A line for each record that is THERE at first, that has CHANGED, or is GONE. With -o json an object a line: {"change": "THERE",
"interface": {…}}, {"change": "GONE", "interfaceId": "eni-…"}, and {"change": "IN_SYNC"} once all that was there has been told.
It goes on until Ctrl-C, also while Plenum restarts, and then tells what was missed.

Example:
  plenum eni watch --vpc vpc-…
  plenum -o json eni watch | jq --unbuffered -c '[.change, .interface.privateAddresses]'`;

/** What was told, as lines. */
class Lines {
  readonly #print: (text: string) => void;
  readonly #json: boolean;
  readonly #held = new Map<string, string>();
  #fresh = new Set<string>();

  constructor(session: Session) {
    this.#json = session.json;
    this.#print = (text) => session.print(text);
    if (!this.#json) this.#print(headLine("CHANGE", watchedInterfaces));
  }

  /** The token of a bookmark, if it is one. */
  take(event: NonNullable<WatchInterfacesResponse["event"]>): string | undefined {
    switch (event.$case) {
      case "snapshot":
      case "upserted":
        for (const one of event.value.interfaces) this.#there(one);
        return undefined;
      case "deleted":
        for (const id of event.value.interfaceIds) this.#gone(id);
        return undefined;
      case "inSync":
        if (event.value.snapshot) for (const id of [...this.#held.keys()]) if (!this.#fresh.has(id)) this.#gone(id);
        if (this.#json) this.#print(JSON.stringify({ change: "IN_SYNC" }));
        return undefined;
      case "historyGone":
        this.#fresh = new Set();
        return undefined;
      case "bookmark":
        return event.value.resumeToken;
    }
  }

  #there(one: Interface): void {
    const id = one.interfaceId;
    const before = this.#held.get(id);
    const change: Change = before === undefined ? "THERE" : "CHANGED";
    const line = this.#json ? JSON.stringify(Interface.toJSON(one)) : formatLine("", watchedInterfaces, one);
    this.#fresh.add(id);
    this.#held.set(id, line);
    if (before === line) return; // what nobody looks at has changed
    this.#print(this.#json ? JSON.stringify({ change, interface: Interface.toJSON(one) }) : formatLine(change, watchedInterfaces, one));
  }

  #gone(id: string): void {
    if (!this.#held.delete(id)) return;
    const change: Change = "GONE";
    this.#print(this.#json ? JSON.stringify({ change, interfaceId: id }) : goneLine(change, id));
  }
}

/** Follow until the signal; what the server breaks off is gone on with. */
async function follow(session: Session, filter: object, signal: AbortSignal): Promise<void> {
  const client = session.client(InterfaceServiceDefinition);
  const lines = new Lines(session);
  let resumeToken = "";
  for (let attempt = 0; ; attempt += 1) {
    try {
      for await (const { event } of client.watchInterfaces({ filter, resumeToken }, { signal })) {
        attempt = 0;
        if (event !== undefined) resumeToken = lines.take(event) ?? resumeToken;
      }
    } catch (error) {
      if (signal.aborted) return;
      // Before the first bookmark there is nothing to go on with: then nothing answers there.
      if (callFailure(error)?.status !== "UNAVAILABLE" || resumeToken === "") throw error;
      if (attempt === 0) process.stderr.write("plenum: the connection was lost; trying again\n");
    }
    await after(PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)], undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
  }
}

/** eni watch. */
export function addInterfaceWatch(eni: Command): void {
  const watch = eni.command("watch").description("follow the records that you may see, with their attachments, as they change");
  addFilterOptions(watch, "only of this account; an operator must name one")
    .option("--for <time>", "end after this long; absent: at Ctrl-C")
    .addHelpText("after", EXAMPLE)
    .action(
      withSession(async (session, options: WatchOptions) => {
        const end = new AbortController();
        const stop = (): void => end.abort();
        const timer = options.for === undefined ? undefined : setTimeout(stop, parseDuration(options.for));
        const signals = ["SIGINT", "SIGTERM"] as const;
        for (const name of signals) process.on(name, stop);
        process.stdout.on("error", stop); // whoever read this has gone (`| head`)
        try {
          await follow(session, filterOf(options), end.signal);
        } finally {
          clearTimeout(timer);
          for (const name of signals) process.off(name, stop);
          process.stdout.off("error", stop);
        }
      }),
    );
}
