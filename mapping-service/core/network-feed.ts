import type { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import type { Position } from "#lib/feed/feed.ts";
import { DeltaLog } from "./delta-log.ts";
import type { LoggedDelta } from "./delta-log.ts";
import { deltaFrame, inSyncFrame, snapshotFrame } from "./frames.ts";
import type { Frame, NetworkName } from "./frames.ts";
import { MappingTable } from "./mapping-table.ts";

/** A whole network of one version, ready to send; the last frame is the in_sync. */
export interface Snapshot {
  readonly at: Position;
  readonly frames: readonly Frame[];
}

/** One change, and where it leads. */
export interface NetworkDelta extends Position {
  readonly items: readonly MappingItem[];
}

/** One that was made before the table was read: it also says what it goes on top of. */
export interface PastDelta extends NetworkDelta {
  readonly prevMark: bigint;
}

/** "stale": known already; "gap": versions are missing before it. Neither changes anything. */
export type Applied = "applied" | "stale" | "gap";

export interface NetworkFeedOptions extends NetworkName {
  /** See {@link MappingTable}. */
  readonly seed: number;
  /** Told of an item that cannot be kept, which is then left out: one broken row must not stop the network of everybody. */
  readonly onFault: (item: MappingItem, error: unknown) => void;
  /** Records in one snapshot message, about; default 8,192 (250 KB). What changes is packed anew in pieces of this size. */
  readonly snapshotRecords?: number;
  /** Changes are kept at least up to so many octets; default 65,536. */
  readonly leastLogOctets?: number;
}

/** What a target costs in a snapshot (see PackedMappings). */
const PACKED_OCTETS = 30;

/**
 * One network as all its watchers see it: the table, its version, and the frames that lead to it. Changes are kept as long as sending
 * them costs less than a new snapshot; who lags further gets the snapshot (C3: one pending entry per key, never a gap).
 */
export class NetworkFeed implements NetworkName {
  readonly networkId: bigint;
  readonly vni: number;
  readonly #options: NetworkFeedOptions;
  readonly #log = new DeltaLog();
  #table: MappingTable;
  #at: Position = { version: 0n, mark: 0n };
  #snapshot: Snapshot | undefined;
  /** The snapshot's frames by chunk of the table. */
  #chunks: (readonly Frame[])[] = [];
  #snapshotUsed = false;

  constructor(options: NetworkFeedOptions) {
    this.#options = options;
    this.networkId = options.networkId;
    this.vni = options.vni;
    this.#table = this.newTable();
  }

  get version(): bigint {
    return this.#at.version;
  }

  /** Read only. */
  get table(): MappingTable {
    return this.#table;
  }

  /** An empty table to fill for {@link replace}. */
  newTable(): MappingTable {
    return new MappingTable(this.#options.seed, this.#options.snapshotRecords);
  }

  /** Fill a table's entry; a broken one is reported and left out. Whether it was kept. */
  keep(table: MappingTable, item: MappingItem, how: "set" | "add"): boolean {
    try {
      if (how === "set") table.set(item);
      else for (const target of item.targets) table.add(item.prefix, target);
      return true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // uncovered: a table throws nothing else, and what it would must not be swallowed
      this.#options.onFault(item, error);
      return false;
    }
  }

  /** What the changes that are kept may cost, for a network of this table. */
  logOctets(table: MappingTable): number {
    return Math.max(this.#options.leastLogOctets ?? 65_536, table.targets * PACKED_OCTETS);
  }

  /**
   * Everything anew, as of a position; `past` are the newest changes that led to it, oldest first. Watchers go on if these lead on from
   * what they have, and get a snapshot if not.
   */
  replace(at: Position, table: MappingTable, past: readonly PastDelta[] = []): void {
    this.#table = table;
    this.#at = at;
    this.#log.clear();
    this.#forget();
    const scratch = this.newTable();
    for (const delta of past) this.#remember({ version: delta.version - 1n, mark: delta.prevMark }, delta, scratch);
  }

  /** Go on by one version. */
  apply(change: NetworkDelta): Applied {
    if (change.version <= this.#at.version) return "stale";
    if (change.version !== this.#at.version + 1n) return "gap";
    this.#remember(this.#at, change, this.#table);
    this.#at = { version: change.version, mark: change.mark };
    return "applied";
  }

  /** What leads on from a position: a change, nothing because it is the newest, or (undefined) no way that is kept. */
  next(at: Position): LoggedDelta | "newest" | undefined {
    if (at.version === this.#at.version) return at.mark === this.#at.mark ? "newest" : undefined;
    return this.#log.after(at);
  }

  /** The network as it is now. Only what changed since the last one is packed anew; frames once handed out never change. */
  snapshot(): Snapshot {
    this.#snapshotUsed = true;
    if (this.#snapshot?.at === this.#at) return this.#snapshot;
    const dirty = this.#table.takeDirtyChunks();
    for (let chunk = 0; chunk < this.#table.chunks; chunk += 1) {
      if (this.#chunks[chunk] !== undefined && !dirty.has(chunk)) continue;
      this.#chunks[chunk] = [...this.#table.packChunk(chunk)].map((packed) => snapshotFrame(this, packed));
    }
    this.#snapshot = { at: this.#at, frames: [...this.#chunks.flat(), inSyncFrame(this, this.#at)] };
    return this.#snapshot;
  }

  /** Forget the ready snapshot if nobody asked for it since the last call. */
  rest(): void {
    if (!this.#snapshotUsed) this.#forget();
    this.#snapshotUsed = false;
  }

  /** Put a change into a table, and its frame into the log. */
  #remember(before: Position, { version, mark, items }: NetworkDelta, table: MappingTable): void {
    // A prefix that one transaction wrote twice: the last counts, here and at the hosts.
    const last = new Map(items.map((item) => [item.prefix, item]));
    const kept = [...last.values()].filter((item) => this.keep(table, item, "set"));
    const at = { version, mark };
    this.#log.push(before, { at, frame: deltaFrame(this, at, kept) }, this.logOctets(this.#table));
  }

  #forget(): void {
    this.#snapshot = undefined;
    this.#chunks = [];
  }
}
