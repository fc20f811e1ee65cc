import { Carried } from "./carried.ts";
import { carryConnections } from "./carry-connections.ts";
import { takeOverCounts } from "./carry-counts.ts";
import { carryMaps } from "./carry-maps.ts";
import { waitForPrograms } from "./grace.ts";
import type { Loaded } from "./load.ts";
import { otherSets, type PinSet } from "./pins.ts";

/** How one version followed another (D21). */
export interface Upgrade {
  /** Schemas of the others' maps; several where an upgrade had been interrupted. */
  from: string[];
  /** What could not be carried over, in words: the reconciler fills it again, or it is gone. */
  lost: string[];
}

/**
 * What one version does with the maps of others, in this order: `fill`, `beforeSwap`, then programs are swapped, `afterSwap`. Up or down is
 * the same. Killed between any two lines, and whichever version starts next, begins again and ends right: the others' sets stay whole
 * until everything of theirs is here, and no agent changes one set's configuration while another set is there.
 */
export class Takeover {
  readonly #set: PinSet;
  readonly #others: readonly PinSet[];
  readonly #lost = new Set<string>();
  /** When connections were last read. */
  #read: bigint | undefined;

  /** Finishes what an interrupted one had begun to end. @throws Error of the file system */
  constructor(bpffsDir: string, set: PinSet) {
    this.#set = set;
    this.#others = otherSets(bpffsDir, set.schema);
  }

  /** New maps get the elements of a set that was whole; of several any one: they have the same configuration. */
  fill(maps: Loaded["maps"]): void {
    const filled = this.#others.find((other) => other.isFilled);
    if (filled !== undefined) this.#note(carryMaps(filled, maps));
  }

  beforeSwap(loaded: Loaded): void {
    this.#carryConnections(loaded);
  }

  /** Returns what was counted before. The others' sets are gone. */
  afterSwap(loaded: Loaded): Carried {
    if (this.#others.length > 0) {
      this.#carryConnections(loaded); // those that began meanwhile, as soon as can be;
      waitForPrograms();
      this.#carryConnections(loaded); // and the very last
      for (const other of this.#others) this.#note(takeOverCounts(other, this.#set, loaded.maps));
    }
    return new Carried(this.#set);
  }

  /** Undefined: there was nothing to take over. */
  get upgrade(): Upgrade | undefined {
    return this.#others.length === 0 ? undefined : { from: this.#others.map(({ schema }) => schema), lost: [...this.#lost] };
  }

  /** All the first time; then those that have been seen since, among which are those that are new. */
  #carryConnections({ maps, programs }: Loaded): void {
    const since = this.#read;
    this.#read = process.hrtime.bigint();
    for (const other of this.#others) this.#note(carryConnections(other, maps.connections, programs.import_connections, since));
  }

  #note(lines: readonly string[]): void {
    for (const line of lines) this.#lost.add(line);
  }
}
