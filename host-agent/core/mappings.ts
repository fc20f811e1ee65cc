import type { Attempts } from "./attempts.ts";
import { sameMapping } from "./convert.ts";
import type { Datapath, Mapping } from "./ports.ts";
import { DeltaTracker } from "./tracker.ts";

/** Mappings written with one call: some milliseconds. */
const BATCH = 4_096;

interface Network {
  tracker: DeltaTracker<string, Mapping>;
  /** Newest version that the wanted mappings stand for; undefined before the first snapshot was complete. */
  version: bigint | undefined;
}

/**
 * Mappings by network, wanted beside actual. A network that was never in sync keeps what the kernel has; one in which the host has
 * nothing any more loses all of it (after the host feed was in sync, which the caller sees to).
 */
export class Mappings {
  readonly #datapath: Datapath;
  readonly #attempts: Attempts;
  /** By VNI: what the kernel knows. */
  readonly #networks = new Map<number, Network>();
  readonly #dirty = new Set<number>();
  #watched: ReadonlySet<number> = new Set();

  constructor(datapath: Datapath, attempts: Attempts) {
    this.#datapath = datapath;
    this.#attempts = attempts;
  }

  adopt(found: readonly Mapping[]): void {
    for (const mapping of found) this.#network(mapping.vni).tracker.present(mapping.prefix, mapping);
  }

  /** The whole network as of `version`. One in which the host has nothing is ignored: late news. */
  replace(vni: number, mappings: ReadonlyMap<string, Mapping>, version: bigint): void {
    if (!this.#watched.has(vni)) return;
    const network = this.#network(vni);
    for (const [prefix] of [...network.tracker.wantedEntries()]) if (!mappings.has(prefix)) network.tracker.unwant(prefix);
    for (const [prefix, mapping] of mappings) network.tracker.want(prefix, mapping);
    network.version = version;
    this.#dirty.add(vni);
  }

  /** One version's changes to a network; undefined: attached nowhere. One that is not in sync is ignored. */
  change(vni: number, items: readonly (readonly [prefix: string, mapping: Mapping | undefined])[], version: bigint): void {
    const network = this.#networks.get(vni);
    if (network?.version === undefined) return;
    for (const [prefix, mapping] of items) {
      if (mapping === undefined) network.tracker.unwant(prefix);
      else network.tracker.want(prefix, mapping);
    }
    network.version = version;
    this.#dirty.add(vni);
  }

  /** VNIs in which the host has an interface: everything of the others goes. */
  keepOnly(vnis: ReadonlySet<number>): void {
    this.#watched = vnis;
    for (const [vni, network] of this.#networks) {
      if (vnis.has(vni)) continue;
      network.version = undefined;
      for (const [prefix] of [...network.tracker.wantedEntries()]) network.tracker.unwant(prefix);
      this.#dirty.add(vni);
    }
  }

  /** Writes what differs. Returns VNIs that are now as wanted. */
  apply(): number[] {
    const done: number[] = [];
    for (const vni of [...this.#dirty]) {
      const network = this.#networks.get(vni);
      if (network === undefined) continue; // uncovered: what is dirty is known; only the type cannot say so
      if (network.version === undefined && this.#watched.has(vni)) {
        this.#dirty.delete(vni);
        continue;
      }
      while (network.tracker.pending > 0 && this.#step(vni, network.tracker));
      if (network.tracker.pending > 0) continue;
      this.#dirty.delete(vni);
      if (network.version !== undefined) done.push(vni);
      else this.#networks.delete(vni);
    }
    return done;
  }

  /** Version of a network that is wanted, whole; undefined: none is, or it is not to be held any more. */
  wantedVersion(vni: number): bigint | undefined {
    return this.#watched.has(vni) ? this.#networks.get(vni)?.version : undefined;
  }

  /** Version of a network that the kernel holds whole. */
  appliedVersion(vni: number): bigint | undefined {
    const network = this.#networks.get(vni);
    return network === undefined || this.#dirty.has(vni) ? undefined : network.version;
  }

  /** How many differ from what is wanted, in networks that may be written. */
  get pending(): number {
    let pending = 0;
    // uncovered: what is dirty is known; only the type cannot say so
    for (const vni of this.#dirty) pending += this.#networks.get(vni)?.tracker.pending ?? 0;
    return pending;
  }

  get size(): number {
    let size = 0;
    for (const { tracker } of this.#networks.values()) size += tracker.actualSize;
    return size;
  }

  /**
   * Puts come first, so that a host whose addresses change does not lose its right to send in between; but not at the price of deletions:
   * where what is to be there finds no room, only those make some. Returns whether anything was done.
   */
  #step(vni: number, tracker: DeltaTracker<string, Mapping>): boolean {
    const puts = tracker.pendingPuts(BATCH);
    if (puts.length > 0 && this.#attempts.run(putKey(vni), () => this.#put(tracker, puts))) return true;
    const deletes = tracker.pendingDeletes(BATCH);
    return deletes.length > 0 && this.#attempts.run(deleteKey(vni), () => this.#delete(vni, tracker, deletes));
  }

  #put(tracker: DeltaTracker<string, Mapping>, puts: readonly [string, Mapping][]): void {
    try {
      this.#write(tracker, puts);
    } catch (error) {
      doubt(tracker, puts);
      throw error;
    }
    for (const [prefix] of puts) tracker.made(prefix);
  }

  #delete(vni: number, tracker: DeltaTracker<string, Mapping>, deletes: readonly [string, Mapping][]): void {
    try {
      this.#datapath.deleteMappings(deletes.map(([prefix]) => ({ vni, prefix })));
    } catch (error) {
      doubt(tracker, deletes);
      throw error;
    }
    for (const [prefix] of deletes) tracker.absent(prefix);
  }

  /** Those of which the kernel surely holds nothing are written without a look at each: most, when a network is new to the host. */
  #write(tracker: DeltaTracker<string, Mapping>, puts: readonly [string, Mapping][]): void {
    const fresh: Mapping[] = [];
    const others: Mapping[] = [];
    for (const [prefix, mapping] of puts) (tracker.possible(prefix) === undefined ? fresh : others).push(mapping);
    // First what takes another's place: it needs no room.
    if (others.length > 0) this.#datapath.putMappings(others);
    if (fresh.length > 0) this.#datapath.putMappings(fresh, true);
  }

  #network(vni: number): Network {
    const known = this.#networks.get(vni);
    if (known !== undefined) return known;
    const network: Network = { tracker: new DeltaTracker(sameMapping), version: undefined };
    this.#networks.set(vni, network);
    return network;
  }
}

/** Some of these may have been written. */
function doubt(tracker: DeltaTracker<string, Mapping>, entries: readonly [string, Mapping][]): void {
  for (const [prefix, mapping] of entries) tracker.doubt(prefix, mapping);
}

const putKey = (vni: number): string => `mappings of VNI ${vni}`;
const deleteKey = (vni: number): string => `removal of mappings of VNI ${vni}`;
