import { sql } from "kysely";
import type { Kysely } from "kysely";
import type { Logger } from "#lib/log/log.ts";
import type { CoordinatorFeed } from "./tables.ts";

export interface WatchAuthorityOptions {
  readonly db: Kysely<CoordinatorFeed>;
  readonly log: Logger;
  /** After a change of a network its watchers are looked at again, no more often than this; milliseconds. */
  readonly recheckMs: number;
  /** All watchers are looked at this often, since the right may end without a change of the network; milliseconds. */
  readonly sweepMs: number;
}

/** One host that watches, or wants to watch, one network. */
export interface Watch {
  readonly hostId: string;
  readonly networkId: bigint;
  /** Called once, when the right has ended. */
  readonly revoke: () => void;
}

/** Pairs in one statement. */
const PAIRS = 5_000;

interface Question {
  readonly watch: Watch;
  readonly answer: PromiseWithResolvers<boolean>;
}

/**
 * Who may watch what: a host, the networks that it has something in (`coordinator_feed.host_network`). Asked at Subscribe, many at
 * once in one statement, and again when a network changes and every so often.
 */
export class WatchAuthority {
  readonly #options: WatchAuthorityOptions;
  readonly #watches = new Map<bigint, Set<Watch>>();
  readonly #due = new Set<bigint>();
  readonly #sweeper: NodeJS.Timeout;
  #questions: Question[] = [];
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: WatchAuthorityOptions) {
    this.#options = options;
    this.#sweeper = setInterval(() => {
      for (const networkId of this.#watches.keys()) this.recheck(networkId);
    }, options.sweepMs);
  }

  /** Watches that were allowed and have not ended. */
  get size(): number {
    let size = 0;
    for (const watches of this.#watches.values()) size += watches.size;
    return size;
  }

  /** Whether the watch is allowed now; if so it is looked at again until `end`. Throws what the database throws. */
  begin(watch: Watch): Promise<boolean> {
    const answer = Promise.withResolvers<boolean>();
    this.#questions.push({ watch, answer });
    // A host that connects asks about thousands in one go: they are one statement.
    if (this.#questions.length === 1) setImmediate(() => void this.#ask());
    return answer.promise;
  }

  /** No longer looked at. */
  end(watch: Watch): void {
    const watches = this.#watches.get(watch.networkId);
    watches?.delete(watch);
    if (watches?.size === 0) this.#watches.delete(watch.networkId);
  }

  /** The network has changed: look at its watchers again, soon. */
  recheck(networkId: bigint): void {
    if (!this.#watches.has(networkId)) return;
    this.#due.add(networkId);
    this.#timer ??= this.#lookSoon();
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    clearTimeout(this.#timer);
    await this.#running;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    const questions = this.#questions;
    this.#questions = [];
    try {
      const refused = new Set(await this.#refused(questions.map(({ watch }) => watch)));
      for (const { watch, answer } of questions) {
        const allowed = !refused.has(watch);
        if (allowed) this.#watches.set(watch.networkId, (this.#watches.get(watch.networkId) ?? new Set()).add(watch));
        answer.resolve(allowed);
      }
    } catch (error) {
      for (const { answer } of questions) answer.reject(error);
    }
  }

  async #look(): Promise<void> {
    const networkIds = [...this.#due];
    this.#due.clear();
    try {
      const asked = networkIds.flatMap((networkId) => [...(this.#watches.get(networkId) ?? [])]);
      for (const watch of await this.#refused(asked)) {
        if (this.#watches.get(watch.networkId)?.has(watch) !== true) continue;
        this.end(watch);
        watch.revoke();
      }
    } catch (error) {
      // Hosts keep what they have while the database is away, nothing new is granted, and the sweep looks again.
      this.#options.log.warn({ err: error }, "cannot see who may watch; looking again later");
    }
    this.#timer = undefined;
    if (this.#due.size > 0) this.#timer = this.#lookSoon();
  }

  #lookSoon(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#running = this.#look();
    }, this.#options.recheckMs);
  }

  /**
   * Those that have no right now. Counted pair by pair and not by NOT EXISTS: the view is DISTINCT, and as a join the planner would
   * make all of it, every attachment of the installation, each time (seen).
   */
  async #refused(watches: readonly Watch[]): Promise<Watch[]> {
    const refused: Watch[] = [];
    for (let start = 0; start < watches.length; start += PAIRS) {
      const part = watches.slice(start, start + PAIRS);
      const { rows } = await sql<{ position: bigint }>`
        SELECT asked.position FROM unnest(${part.map(({ hostId }) => hostId)}::text[], ${part.map(({ networkId }) => String(networkId))}::bigint[])
          WITH ORDINALITY AS asked (host_id, network_id, position)
        WHERE (
          SELECT count(*) FROM coordinator_feed.host_network AS own WHERE own.host_id = asked.host_id AND own.network_id = asked.network_id
        ) = 0`.execute(this.#options.db);
      for (const { position } of rows) {
        const watch = part[Number(position) - 1];
        if (watch !== undefined) refused.push(watch);
      }
    }
    return refused;
  }
}
