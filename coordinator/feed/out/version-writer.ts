import type { Kysely } from "kysely";
import { isDatabaseUnavailable } from "#lib/db/errors.ts";
import { repeated } from "#lib/db/transaction.ts";
import { limiter } from "#lib/feed/feed.ts";
import { networkScope } from "../../interface/api.ts";
import type { Signals } from "../../interface/api.ts";
import { takeIdleVersions, takeVersions } from "../../placement/api.ts";
import type { SessionVersions } from "../../placement/api.ts";

/** What one session has to say, and what all wait for who said it. */
interface Entry {
  readonly versions: SessionVersions;
  readonly written: PromiseWithResolvers<boolean>;
}

/** Sessions in one statement at most. */
const MAX_BATCH = 500;
/** Hosts that somebody else holds and that are waited for at the same time: each waits with a connection. */
const MAX_ALONE = 2;

/** What a session said, and what it said after that: versions only rise. */
function together(first: SessionVersions, second: SessionVersions): SessionVersions {
  const networks = new Map(first.networks);
  for (const [id, version] of second.networks) if (version > (networks.get(id) ?? -1n)) networks.set(id, version);
  return { ...first, hostVersion: first.hostVersion > second.hostVersion ? first.hostVersion : second.hostVersion, networks };
}

/**
 * Writes what the sessions of this process have applied. While one write runs the others wait and go together: a change that a
 * thousand hosts acknowledge costs a few statements, not a thousand, and a single acknowledgement does not wait for a timer. What waits is
 * one entry a host, however long the database is away. A host that somebody else is writing (its own report, which may wait for an
 * instance) is waited for beside the others: their leases must not end for it.
 */
export class VersionWriter {
  readonly #db: Kysely<unknown>;
  readonly #signals: Signals;
  readonly #limit = limiter(MAX_ALONE);
  readonly #waiting = new Map<string, Entry>();
  /** Hosts that are waited for. */
  readonly #alone = new Map<string, Promise<void>>();
  #running: Promise<void> | undefined;

  constructor(db: Kysely<unknown>, signals: Signals) {
    this.#db = db;
    this.#signals = signals;
  }

  /** Resolves when written: true, or false when the session is not the host's newest. Rejects when the database is away. */
  write(versions: SessionVersions): Promise<boolean> {
    const { hostId, epoch } = versions;
    const known = this.#waiting.get(hostId);
    if (known !== undefined && known.versions.epoch > epoch) return Promise.resolve(false);
    const same = known?.versions.epoch === epoch;
    if (!same) known?.written.resolve(false); // a newer session is open
    const entry = same
      ? { versions: together(known.versions, versions), written: known.written }
      : { versions, written: Promise.withResolvers<boolean>() };
    this.#waiting.set(hostId, entry);
    this.#start();
    return entry.written.promise;
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined || this.#alone.size > 0) await Promise.all([this.#running, ...this.#alone.values()]);
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // what was said in this turn goes together
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      try {
        await this.#write(batch);
      } catch (error) {
        // One that cannot be written must not keep the others from it.
        if (batch.length > 1 && !isDatabaseUnavailable(error)) {
          for (const entry of batch) await this.#write([entry]).catch(entry.written.reject);
        } else for (const { written } of batch) written.reject(error);
      }
    }
    this.#running = undefined; // in the turn in which nothing was left: what is said in the next begins anew
  }

  async #write(batch: readonly Entry[]): Promise<void> {
    const sessions = batch.map(({ versions }) => versions);
    const taken = await repeated(() => takeIdleVersions(this.#db, sessions));
    this.#written(
      batch.filter(({ versions }) => taken.has(versions.hostId)),
      new Set([...taken].flatMap(([hostId, live]) => (live ? [hostId] : []))),
    );
    for (const entry of batch) if (!taken.has(entry.versions.hostId)) this.#writeAlone(entry);
  }

  #writeAlone(entry: Entry): void {
    const { hostId } = entry.versions;
    const write = async (): Promise<void> => {
      try {
        const live = await this.#limit(() => repeated(() => takeVersions(this.#db, [entry.versions])));
        this.#written([entry], live);
      } catch (error) {
        entry.written.reject(error);
      }
      this.#alone.delete(hostId);
      this.#start(); // what it said meanwhile
    };
    this.#alone.set(hostId, write());
  }

  #written(entries: readonly Entry[], live: ReadonlySet<string>): void {
    const networks = new Set(entries.flatMap(({ versions }) => (live.has(versions.hostId) ? [...versions.networks.keys()] : [])));
    if (networks.size > 0) this.#signals.announce([...networks].map(networkScope));
    for (const { versions, written } of entries) written.resolve(live.has(versions.hostId));
  }

  #take(): Entry[] {
    const batch: Entry[] = [];
    for (const [hostId, entry] of this.#waiting) {
      if (batch.length >= MAX_BATCH) break;
      if (this.#alone.has(hostId)) continue;
      this.#waiting.delete(hostId);
      batch.push(entry);
    }
    return batch;
  }
}
