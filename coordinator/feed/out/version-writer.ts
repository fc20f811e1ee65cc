import type { Kysely } from "kysely";
import { isDatabaseUnavailable } from "#lib/db/errors.ts";
import { transaction } from "#lib/db/transaction.ts";
import { networkScope } from "../../interface/api.ts";
import type { Signals } from "../../interface/api.ts";
import { takeVersions } from "../../placement/api.ts";
import type { SessionVersions } from "../../placement/api.ts";

interface Entry {
  readonly versions: SessionVersions;
  readonly done: { resolve: (live: boolean) => void; reject: (error: unknown) => void };
}

/** Sessions in one statement at most. */
const MAX_BATCH = 500;

/**
 * Writes what the sessions of this process have applied. While one write runs the others wait and go together: a change that a
 * thousand hosts acknowledge costs a few statements, not a thousand, and a single acknowledgement does not wait for a timer.
 */
export class VersionWriter {
  readonly #db: Kysely<unknown>;
  readonly #signals: Signals;
  #waiting: Entry[] = [];
  #running: Promise<void> | undefined;

  constructor(db: Kysely<unknown>, signals: Signals) {
    this.#db = db;
    this.#signals = signals;
  }

  /** Resolves when written: true, or false when the session is not the host's newest. Rejects when the database is away. */
  write(versions: SessionVersions): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#waiting.push({ versions, done: { resolve, reject } });
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    return promise;
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // what was said in this turn goes together
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        await this.#write(batch);
      } catch (error) {
        // One that cannot be written must not keep the others from it.
        if (batch.length > 1 && !isDatabaseUnavailable(error))
          for (const entry of batch) await this.#write([entry]).catch(entry.done.reject);
        else for (const { done } of batch) done.reject(error);
      }
    }
  }

  async #write(batch: readonly Entry[]): Promise<void> {
    const live = await transaction(this.#db, (tx) =>
      takeVersions(
        tx,
        batch.map((entry) => entry.versions),
      ),
    );
    const networks = new Set(batch.flatMap(({ versions }) => (live.has(versions.hostId) ? [...versions.networks.keys()] : [])));
    if (networks.size > 0) this.#signals.announce([...networks].map(networkScope));
    for (const { versions, done } of batch) done.resolve(live.has(versions.hostId));
  }

  /** One entry a host: a second one of the same statement would hide the first, or be another session's. */
  #take(): Entry[] {
    const batch = new Map<string, Entry>();
    const rest: Entry[] = [];
    for (const entry of this.#waiting) {
      if (batch.size < MAX_BATCH && !batch.has(entry.versions.hostId)) batch.set(entry.versions.hostId, entry);
      else rest.push(entry);
    }
    this.#waiting = rest;
    return [...batch.values()];
  }
}
