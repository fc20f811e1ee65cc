import type { MappingItem, NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import { DeltaLog } from "./delta-log.ts";
import { deltaFrame, inSyncFrame, snapshotFrame } from "./frames.ts";
import type { Frame, NetworkName } from "./frames.ts";
import { MappingTable } from "./mapping-table.ts";

/** A whole network of one version, ready to send; the last frame is the in_sync. */
export interface Snapshot {
  readonly version: bigint;
  readonly frames: readonly Frame[];
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
  #version = 0n;
  #generation = 0;
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
    return this.#version;
  }

  /** Changes when the content did not follow from what was before: versions of two generations say nothing about one another. */
  get generation(): number {
    return this.#generation;
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

  /** Everything anew, as of `version`. Watchers get a snapshot. */
  replace(version: bigint, table: MappingTable): void {
    this.#table = table;
    this.#version = version;
    this.#generation += 1;
    this.#log.clear();
    this.#forget();
  }

  /** Go on by one version. */
  apply(change: NetworkChange): Applied {
    if (change.version <= this.#version) return "stale";
    if (change.version !== this.#version + 1n) return "gap";
    // A prefix that one transaction wrote twice: the last counts, here and at the hosts.
    const last = new Map(change.items.map((item) => [item.prefix, item]));
    const items = [...last.values()].filter((item) => this.keep(this.#table, item, "set"));
    this.#version = change.version;
    const budget = Math.max(this.#options.leastLogOctets ?? 65_536, this.#table.targets * PACKED_OCTETS);
    this.#log.push(change.version, deltaFrame(this, change.version, items), budget);
    return "applied";
  }

  /** The frame that leads to `version` from the one before, if it is kept. */
  delta(version: bigint): Frame | undefined {
    return this.#log.frame(version);
  }

  /** The network as it is now. Only what changed since the last one is packed anew; frames once handed out never change. */
  snapshot(): Snapshot {
    this.#snapshotUsed = true;
    if (this.#snapshot?.version === this.#version) return this.#snapshot;
    const dirty = this.#table.takeDirtyChunks();
    for (let chunk = 0; chunk < this.#table.chunks; chunk += 1) {
      if (this.#chunks[chunk] !== undefined && !dirty.has(chunk)) continue;
      this.#chunks[chunk] = [...this.#table.packChunk(chunk)].map((packed) => snapshotFrame(this, packed));
    }
    this.#snapshot = { version: this.#version, frames: [...this.#chunks.flat(), inSyncFrame(this, this.#version)] };
    return this.#snapshot;
  }

  /** Forget the ready snapshot if nobody asked for it since the last call. */
  rest(): void {
    if (!this.#snapshotUsed) this.#forget();
    this.#snapshotUsed = false;
  }

  #forget(): void {
    this.#snapshot = undefined;
    this.#chunks = [];
  }
}
