import { randomInt } from "node:crypto";
import type { Kysely } from "kysely";
import { NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import { newestChanges } from "#lib/feed/feed.ts";
import type { Follower, LinkedDelta, ScopeReader } from "#lib/feed/feed.ts";
import type { Logger } from "#lib/log/log.ts";
import { NetworkFeed } from "../core/network-feed.ts";
import type { PastDelta } from "../core/network-feed.ts";
import { readExisting, readMappings, readVni } from "./read-network.ts";
import { FEED_SCHEMA, networkScope } from "./tables.ts";
import type { CoordinatorFeed } from "./tables.ts";

export interface NetworkRegistryOptions {
  readonly db: Kysely<CoordinatorFeed>;
  readonly reader: ScopeReader<CoordinatorFeed>;
  readonly log: Logger;
  /** A network that nobody used for so long is unloaded; milliseconds. */
  readonly idleMs: number;
  /** How soon a network whose following failed is loaded anew; milliseconds. */
  readonly retryMs: number;
  /** See NetworkFeed. */
  readonly snapshotRecords?: number | undefined;
  readonly leastLogOctets?: number | undefined;
  /** Called after each change of a network. */
  readonly onChange: (networkId: bigint) => void;
  /** Counts items left out because they were broken. */
  readonly onFault: () => void;
}

/** One user's hold on a loaded network. */
export interface NetworkLease {
  readonly feed: NetworkFeed;
  /** Resolves when the feed has all that the database had when this was called. */
  catchUp(): Promise<void>;
  release(): void;
}

interface Entry {
  readonly feed: NetworkFeed;
  readonly listeners: Set<() => void>;
  /** Resolves when the network was loaded; rejects when the registry closed first. */
  readonly loaded: PromiseWithResolvers<void>;
  follower: Follower | undefined;
  leases: number;
  lastUsed: number;
  closed: boolean;
}

/** Changes from before a network was loaded that are kept at most. */
const PAST_CHANGES = 4_096;

/** The changes after the last one that cannot be decoded. */
function readable(changes: readonly LinkedDelta[]): PastDelta[] {
  const past: PastDelta[] = [];
  for (const { payload, ...change } of changes.toReversed()) {
    try {
      past.push({ ...change, items: NetworkChange.decode(payload).items });
    } catch {
      break; // who needs it gets a snapshot
    }
  }
  return past.reverse();
}

/** The networks that somebody uses, each in memory once, kept as fresh as the coordinator's log. */
export class NetworkRegistry {
  readonly #options: NetworkRegistryOptions;
  readonly #entries = new Map<bigint, Entry>();
  readonly #opening = new Map<bigint, Promise<Entry | undefined>>();
  readonly #seed = randomInt(2 ** 32);
  readonly #sweeper: NodeJS.Timeout;
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: NetworkRegistryOptions) {
    this.#options = options;
    this.#sweeper = setInterval(
      () => {
        this.#sweeping = this.#sweep();
      },
      Math.max(50, options.idleMs / 4),
    );
  }

  /** Loaded networks. */
  get feeds(): NetworkFeed[] {
    return [...this.#entries.values()].map(({ feed }) => feed);
  }

  /**
   * The network, loaded; undefined when there is none of that id. `onChange` is called after each change until the release.
   * Throws what the database throws on the first look; later failures are retried.
   */
  async lease(networkId: bigint, onChange?: () => void): Promise<NetworkLease | undefined> {
    const entry = this.#entries.get(networkId) ?? (await this.#open(networkId));
    if (entry === undefined) return undefined;
    if (entry.closed) return this.lease(networkId, onChange);
    entry.leases += 1;
    if (onChange !== undefined) entry.listeners.add(onChange);
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      entry.leases -= 1;
      entry.lastUsed = performance.now();
      if (onChange !== undefined) entry.listeners.delete(onChange);
    };
    try {
      await entry.loaded.promise;
    } catch (error) {
      release();
      throw error;
    }
    return { feed: entry.feed, release, catchUp: async () => entry.follower?.catchUp() };
  }

  /** Ends following; leases become dead. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#sweeper);
    await this.#sweeping;
    const followers = [...this.#entries.values()].flatMap(({ follower }) => (follower === undefined ? [] : [follower.done]));
    for (const networkId of [...this.#entries.keys()]) this.#unload(networkId);
    await Promise.allSettled(followers);
  }

  #open(networkId: bigint): Promise<Entry | undefined> {
    const known = this.#opening.get(networkId);
    if (known !== undefined) return known;
    const opening = this.#make(networkId).finally(() => this.#opening.delete(networkId));
    this.#opening.set(networkId, opening);
    return opening;
  }

  async #make(networkId: bigint): Promise<Entry | undefined> {
    const vni = await readVni(this.#options.db, networkId);
    if (vni === undefined) return undefined;
    if (this.#closed) throw new DOMException("the mapping service is closing", "AbortError");
    const { log, onFault, snapshotRecords, leastLogOctets } = this.#options;
    const feed = new NetworkFeed({
      networkId,
      vni,
      seed: this.#seed,
      snapshotRecords,
      leastLogOctets,
      onFault: (item, error) => {
        onFault();
        log.error({ err: error, networkId: String(networkId), prefix: item.prefix }, "a mapping is broken and left out");
      },
    });
    const loaded = Promise.withResolvers<void>();
    // Whoever waits looks at it; that nobody waits any more is no failure of the process.
    loaded.promise.catch(() => undefined);
    const entry: Entry = { feed, loaded, listeners: new Set(), follower: undefined, leases: 0, lastUsed: performance.now(), closed: false };
    this.#entries.set(networkId, entry);
    this.#follow(entry);
    return entry;
  }

  /** Snapshot and log of the network's scope, again and again should it fail: a network that is used must not stop in silence. */
  #follow(entry: Entry): void {
    const { feed } = entry;
    const scope = networkScope(feed.networkId);
    const follower = this.#options.reader.follow(scope, {
      snapshot: async (tx) => {
        const table = feed.newTable();
        await readMappings(tx, feed.networkId, (item) => void feed.keep(table, item, "add"));
        // With its past, hosts that another copy served, or this one before it was started again, go on where they were.
        const limits = { changes: PAST_CHANGES, octets: feed.logOctets(table) };
        return { table, past: readable(await newestChanges(tx, FEED_SCHEMA, scope, limits)) };
      },
      onSnapshot: ({ table, past }, version, mark) => {
        feed.replace({ version, mark }, table, past);
        entry.loaded.resolve();
        this.#changed(entry);
      },
      onDelta: ({ version, mark, payload }) => {
        const { items } = NetworkChange.decode(payload);
        if (feed.apply({ version, mark, items }) === "gap") throw new Error(`version ${version} does not follow ${feed.version}`);
        this.#changed(entry);
      },
    });
    entry.follower = follower;
    follower.done.catch(() => {
      // lib/feed has logged why. From the start: what we have may be half of something.
      setTimeout(() => {
        if (!entry.closed) this.#follow(entry);
      }, this.#options.retryMs).unref();
    });
  }

  #changed(entry: Entry): void {
    if (entry.closed) return;
    for (const listener of entry.listeners) listener();
    this.#options.onChange(entry.feed.networkId);
  }

  #unload(networkId: bigint): void {
    const entry = this.#entries.get(networkId);
    if (entry === undefined) return;
    entry.closed = true;
    entry.follower?.close();
    entry.loaded.reject(new DOMException("the mapping service is closing", "AbortError"));
    this.#entries.delete(networkId);
  }

  /** Unload what nobody uses, or what exists no more; forget ready snapshots. */
  async #sweep(): Promise<void> {
    const before = performance.now() - this.#options.idleMs;
    for (const [networkId, entry] of this.#entries) {
      entry.feed.rest();
      if (entry.leases === 0 && entry.lastUsed < before) this.#unload(networkId);
    }
    const networkIds = [...this.#entries.keys()];
    if (networkIds.length === 0) return;
    try {
      const existing = await readExisting(this.#options.db, networkIds);
      for (const networkId of networkIds)
        if (!existing.has(networkId) && this.#entries.get(networkId)?.leases === 0) this.#unload(networkId);
    } catch (error) {
      this.#options.log.warn({ err: error }, "cannot see which networks exist; looking again later");
    }
  }
}
