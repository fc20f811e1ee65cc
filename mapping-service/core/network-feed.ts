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
  /** Records in one snapshot message, about; default 8,192 (250 KB). */
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
  #snapshot: Snapshot | undefined;
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

  /** Read only. */
  get table(): MappingTable {
    return this.#table;
  }

  /** An empty table to fill for {@link replace}. */
  newTable(): MappingTable {
    return new MappingTable(this.#options.seed);
  }

  /** Fill a table's entry; a broken one is reported and left out. Whether it was kept. */
  keep(table: MappingTable, item: MappingItem, how: "set" | "add"): boolean {
    try {
      if (how === "set") table.set(item);
      else for (const target of item.targets) table.add(item.prefix, target);
      return true;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#options.onFault(item, error);
      return false;
    }
  }

  /** Everything anew, as of `version`. Watchers get a snapshot. */
  replace(version: bigint, table: MappingTable): void {
    this.#table = table;
    this.#version = version;
    this.#log.clear();
    this.#snapshot = undefined;
  }

  /** Go on by one version. */
  apply(change: NetworkChange): Applied {
    if (change.version <= this.#version) return "stale";
    if (change.version !== this.#version + 1n) return "gap";
    const items = change.items.filter((item) => this.keep(this.#table, item, "set"));
    this.#version = change.version;
    const budget = Math.max(this.#options.leastLogOctets ?? 65_536, this.#table.targets * PACKED_OCTETS);
    this.#log.push(change.version, deltaFrame(this, change.version, items), budget);
    return "applied";
  }

  /** The frame that leads to `version` from the one before, if it is kept. */
  delta(version: bigint): Frame | undefined {
    return this.#log.frame(version);
  }

  /** A snapshot from which the kept changes lead on; made when there is none, then shared. */
  snapshot(): Snapshot {
    this.#snapshotUsed = true;
    const known = this.#snapshot;
    if (known !== undefined && (known.version === this.#version || this.#log.frame(known.version + 1n) !== undefined)) return known;
    const frames: Frame[] = [];
    for (const packed of this.#table.pack(this.#options.snapshotRecords ?? 8_192)) frames.push(snapshotFrame(this, packed));
    frames.push(inSyncFrame(this, this.#version));
    this.#snapshot = { version: this.#version, frames };
    return this.#snapshot;
  }

  /** Forget the ready snapshot if nobody asked for it since the last call. */
  rest(): void {
    if (!this.#snapshotUsed) this.#snapshot = undefined;
    this.#snapshotUsed = false;
  }
}
