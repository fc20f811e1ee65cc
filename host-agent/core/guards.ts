import type { Datapath, Device } from "./ports.ts";
import type { DeltaTracker } from "./tracker.ts";

/** Devices that one look asks about, beside the suspects. At a look each second, 4,000 devices have their turn within eight. */
export const GUARDS_PER_LOOK = 500;

/** Asks the kernel, a few devices at a time and all of them in turn, whether they run our program. */
export class Guards {
  readonly #datapath: Pick<Datapath, "unguarded">;
  /** Wire ids that have not had their turn. */
  #waiting: number[] = [];

  constructor(datapath: Pick<Datapath, "unguarded">) {
    this.#datapath = datapath;
  }

  /** Of the devices whose turn it is and of the suspects (by ifindex), those without it, by wire id. */
  unguarded<W, A extends Device>(devices: DeltaTracker<number, W, A>, suspects: ReadonlySet<number>): [number, A][] {
    if (this.#waiting.length === 0) this.#waiting = [...devices.possibleEntries()].map(([wireId]) => wireId);
    const asked = new Map<number, [number, A]>();
    for (const wireId of this.#waiting.splice(0, GUARDS_PER_LOOK)) {
      const device = devices.actual(wireId);
      if (device !== undefined) asked.set(device.ifindex, [wireId, device]);
    }
    if (suspects.size > 0) {
      for (const [wireId, { ifindex }] of devices.possibleEntries()) {
        const device = suspects.has(ifindex) ? devices.actual(wireId) : undefined;
        if (device !== undefined) asked.set(ifindex, [wireId, device]);
      }
    }
    if (asked.size === 0) return [];
    const without = new Set(this.#datapath.unguarded([...asked.keys()]));
    return [...asked].flatMap(([ifindex, found]) => (without.has(ifindex) ? [found] : []));
  }
}
