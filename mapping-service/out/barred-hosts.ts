import type { Kysely } from "kysely";
import type { Bus } from "#lib/bus/bus.ts";
import type { Logger } from "#lib/log/log.ts";
import { hostBarred } from "#lib/rpc/barred.ts";
import type { CoordinatorFeed } from "./tables.ts";

/** The coordinator's hint that a host (its id) was barred. */
const BAR_SUBJECT = "plenum.int.bar";

/** A stream of a host, while it may have one. */
export interface Admission {
  /** Aborts with what the host is told when it is barred. */
  readonly over: AbortSignal;
  /** The stream has ended. */
  close(): void;
}

/**
 * Ends the streams of hosts that are barred (C8): a new one is looked at as it begins, open ones at the coordinator's hint and every so
 * often. While the database is away nobody can be barred, and a host that gets in is given nothing.
 */
export class BarredHosts {
  readonly #db: Kysely<CoordinatorFeed>;
  readonly #log: Logger;
  readonly #open = new Map<string, Set<AbortController>>();
  readonly #timer: NodeJS.Timeout;
  readonly #subscription: { unsubscribe(): void };
  #running: Promise<void> = Promise.resolve();

  constructor(options: { db: Kysely<CoordinatorFeed>; bus: Bus; log: Logger; everyMs: number }) {
    this.#db = options.db;
    this.#log = options.log;
    let looking = false; // a database that hangs is not asked ever more often
    this.#timer = setInterval(() => {
      if (looking) return;
      looking = true;
      void this.#look([...this.#open.keys()]).finally(() => (looking = false));
    }, options.everyMs);
    this.#subscription = options.bus.subscribe(BAR_SUBJECT, ({ data }) => {
      const hostId = Buffer.from(data).toString("utf8");
      if (this.#open.has(hostId)) void this.#look([hostId]);
    });
  }

  /** Let a host begin a stream. PERMISSION_DENIED (HOST_BARRED). */
  async admit(hostId: string): Promise<Admission> {
    const stream = new AbortController();
    // Before the look: a bar that it does not see is announced after this.
    const streams = this.#open.get(hostId) ?? new Set();
    this.#open.set(hostId, streams.add(stream));
    const close = (): void => {
      streams.delete(stream);
      if (streams.size === 0 && this.#open.get(hostId) === streams) this.#open.delete(hostId);
    };
    await this.#look([hostId]);
    if (stream.signal.aborted) {
      close();
      throw hostBarred(hostId);
    }
    return { over: stream.signal, close };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#subscription.unsubscribe();
    await this.#running;
  }

  async #look(hostIds: readonly string[]): Promise<void> {
    if (hostIds.length === 0) return;
    const looking = this.#read(hostIds);
    this.#running = Promise.all([this.#running, looking]).then(() => undefined);
    await looking;
  }

  async #read(hostIds: readonly string[]): Promise<void> {
    try {
      const rows = await this.#db.selectFrom("coordinator_feed.barred_host").select("host_id").where("host_id", "in", hostIds).execute();
      for (const { host_id: hostId } of rows) for (const stream of this.#open.get(hostId) ?? []) stream.abort(hostBarred(hostId));
    } catch (error) {
      this.#log.warn({ err: error }, "cannot see which hosts are barred; looking again later");
    }
  }
}
