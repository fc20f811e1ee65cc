import type { PackedMapping, PackedRecords } from "#lib/mapping/packed.ts";
import type { Attempts } from "./attempts.ts";
import { HostNumbers } from "./host-numbers.ts";
import { MappingRows } from "./mapping-rows.ts";
import type { Datapath, MappingBatch } from "./ports.ts";
import { FeedBroken } from "./wanted.ts";

/** Mappings written with one call: some milliseconds. */
const BATCH = 4_096;

/** A whole network: of its pieces those from `next` on are still to be taken in. */
interface Whole {
  readonly pieces: readonly PackedRecords[];
  next: number;
}

/** One version's changes: `mappings` is all that there is of these prefixes. */
export interface MappingChange {
  readonly prefixes: readonly string[];
  readonly mappings: readonly PackedMapping[];
}

interface Network {
  readonly rows: MappingRows;
  /** What was told and is not among the rows yet, in its order. */
  readonly news: (Whole | MappingChange)[];
  /** Newest version that was told; undefined before the first snapshot was complete. */
  version: bigint | undefined;
}

/**
 * Mappings by network, wanted beside actual. A network that was never in sync keeps what the kernel has; one in which the host has
 * nothing any more loses all of it (after the host feed was in sync, which the caller sees to). Being told costs nothing: what is told is
 * taken in by `apply`, piece by piece, so that a million of them hold nobody up.
 */
export class Mappings {
  readonly #datapath: Datapath;
  readonly #attempts: Attempts;
  readonly #seed: number;
  readonly #hosts = new HostNumbers();
  /** By VNI: what the kernel knows. */
  readonly #networks = new Map<number, Network>();
  readonly #dirty = new Set<number>();
  #watched: ReadonlySet<number> = new Set();

  /** `seed`: any 32 bits, different in each process. */
  constructor(datapath: Datapath, attempts: Attempts, seed: number) {
    this.#datapath = datapath;
    this.#attempts = attempts;
    this.#seed = seed;
  }

  adopt(found: readonly MappingBatch[]): void {
    for (const batch of found) this.#network(batch.vni).rows.adopt(batch);
  }

  /** The whole network as of `version`. One in which the host has nothing is ignored: late news. */
  replace(vni: number, pieces: readonly PackedRecords[], version: bigint): void {
    if (!this.#watched.has(vni)) return;
    const network = this.#network(vni);
    network.news.splice(0, Infinity, { pieces, next: 0 });
    this.#attempts.forget(newsKey(vni));
    network.version = version;
    this.#dirty.add(vni);
  }

  /**
   * One version's changes to a network. One that is not in sync is ignored. Throws FeedBroken where what was told before cannot be taken in:
   * nothing is to wait behind that, and a snapshot takes its place.
   */
  change(vni: number, change: MappingChange, version: bigint): void {
    const network = this.#networks.get(vni);
    if (network?.version === undefined) return;
    const trouble = this.#attempts.message(newsKey(vni));
    if (trouble !== undefined) throw new FeedBroken(`mappings of VNI ${vni}: ${trouble}`);
    network.news.push(change);
    network.version = version;
    this.#dirty.add(vni);
  }

  /** VNIs in which the host has an interface: everything of the others goes. */
  keepOnly(vnis: ReadonlySet<number>): void {
    this.#watched = vnis;
    for (const [vni, network] of this.#networks) {
      if (vnis.has(vni)) continue;
      network.version = undefined;
      network.news.length = 0;
      network.rows.unwantAll();
      this.#dirty.add(vni);
    }
  }

  /** Takes in what was told and writes what differs. Returns VNIs that are now as wanted. */
  apply(): number[] {
    const done: number[] = [];
    for (const vni of [...this.#dirty]) {
      const network = this.#networks.get(vni);
      if (network === undefined) continue; // uncovered: what is dirty is known; only the type cannot say so
      if (network.version === undefined && this.#watched.has(vni)) {
        this.#dirty.delete(vni);
        continue;
      }
      while (network.news.length > 0 && this.#attempts.run(newsKey(vni), () => takeIn(network)));
      if (network.news.length > 0) continue;
      while (network.rows.pending > 0 && this.#step(vni, network.rows));
      if (network.rows.pending > 0) continue;
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

  /** How many differ from what is wanted or are not looked at yet, in networks that may be written. */
  get pending(): number {
    let pending = 0;
    for (const vni of this.#dirty) {
      const network = this.#networks.get(vni);
      if (network === undefined) continue; // uncovered: what is dirty is known; only the type cannot say so
      pending += network.rows.pending;
      for (const news of network.news) pending += sizeOf(news);
    }
    return pending;
  }

  get size(): number {
    let size = 0;
    for (const { rows } of this.#networks.values()) size += rows.held;
    return size;
  }

  /**
   * Puts come first, so that a host whose addresses change does not lose its right to send in between; but not at the price of deletions:
   * where what is to be there finds no room, only those make some. Returns whether anything was done.
   */
  #step(vni: number, rows: MappingRows): boolean {
    const { others, fresh } = rows.pendingPuts(BATCH);
    const isPut = others.length + fresh.length > 0;
    if (isPut && this.#attempts.run(putKey(vni), () => this.#put(vni, rows, others, fresh))) return true;
    const deletes = rows.pendingDeletes(BATCH);
    return deletes.length > 0 && this.#attempts.run(deleteKey(vni), () => this.#delete(vni, rows, deletes));
  }

  /** What takes another's place goes first: it needs no room. */
  #put(vni: number, rows: MappingRows, others: Uint32Array, fresh: Uint32Array): void {
    try {
      if (others.length > 0) this.#datapath.putMappings(rows.batch(vni, others));
      if (fresh.length > 0) this.#datapath.putMappings(rows.batch(vni, fresh), true);
    } catch (error) {
      // Some of these may have been written.
      rows.doubt(others);
      rows.doubt(fresh);
      throw error;
    }
    rows.made(others);
    rows.made(fresh);
  }

  #delete(vni: number, rows: MappingRows, deletes: Uint32Array): void {
    try {
      this.#datapath.deleteMappings(rows.batch(vni, deletes));
    } catch (error) {
      rows.doubt(deletes);
      throw error;
    }
    rows.gone(deletes);
  }

  #network(vni: number): Network {
    const known = this.#networks.get(vni);
    if (known !== undefined) return known;
    const network: Network = { rows: new MappingRows(this.#seed, this.#hosts), news: [], version: undefined };
    this.#networks.set(vni, network);
    return network;
  }
}

/** One piece of the oldest news. One that throws is taken in again. */
function takeIn({ news, rows }: Network): void {
  const oldest = news[0];
  if (oldest === undefined) return; // uncovered: the caller has looked; only the type cannot say so
  if ("prefixes" in oldest) {
    rows.change(oldest.prefixes, oldest.mappings);
    news.shift();
    return;
  }
  if (oldest.next === 0) rows.beginWhole(sizeOf(oldest));
  const piece = oldest.pieces[oldest.next];
  if (piece !== undefined) rows.want(piece);
  oldest.next += 1;
  if (oldest.next < oldest.pieces.length) return;
  rows.endWhole();
  news.shift();
}

function sizeOf(news: Whole | MappingChange): number {
  return "prefixes" in news ? news.prefixes.length : news.pieces.slice(news.next).reduce((sum, { count }) => sum + count, 0);
}

const newsKey = (vni: number): string => `news of mappings of VNI ${vni}`;
const putKey = (vni: number): string => `mappings of VNI ${vni}`;
const deleteKey = (vni: number): string => `removal of mappings of VNI ${vni}`;
