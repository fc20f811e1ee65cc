import { BpfMap } from "./bpf-map.ts";
import { COUNTED_NAMES, type CountedName } from "./counted.ts";
import { describeMap } from "./kernel-layout.ts";
import { closeAll, getPinned, type PinSet } from "./pins.ts";

/**
 * What was counted before this version's maps were there: one value an element of the live map, in the same layout, for all processors
 * together. No program touches it. A reading is the live value and this one.
 */
export class Carried {
  readonly #maps: Partial<Record<CountedName, BpfMap<CountedName>>> = {};
  readonly #values: Record<CountedName, Map<string, Buffer>> = { meters: new Map(), drops: new Map() };

  /** Reads what is pinned; nothing is, before a first upgrade. @throws KernelError */
  constructor(set: PinSet) {
    const fds = getPinned(set.carried, COUNTED_NAMES);
    try {
      for (const name of COUNTED_NAMES) {
        const fd = fds[name];
        if (fd === undefined) continue;
        const map = new BpfMap(name, fd, describeMap(fd));
        this.#maps[name] = map;
        for (const [key, value] of map.entries()) this.#values[name].set(text(key), value);
      }
    } catch (error) {
      closeAll(fds);
      throw error;
    }
  }

  get(name: CountedName, key: Buffer): Buffer | undefined {
    return this.#values[name].get(text(key));
  }

  /** After the live element: in between, a reading would fall. */
  delete(name: CountedName, key: Buffer): void {
    if (!this.#values[name].has(text(key))) return;
    this.#maps[name]?.delete(key);
    this.#values[name].delete(text(key));
  }

  /** What a crash left between two such deletions. */
  forgetOrphans(name: CountedName, isLive: (key: Buffer) => boolean): void {
    for (const key of [...this.#values[name].keys()].map((name) => Buffer.from(name, "latin1"))) if (!isLive(key)) this.delete(name, key);
  }

  entries(name: CountedName): [key: Buffer, value: Buffer][] {
    return [...this.#values[name]].map(([key, value]) => [Buffer.from(key, "latin1"), value]);
  }

  close(): void {
    for (const map of Object.values(this.#maps)) map.close();
  }
}

const text = (key: Buffer): string => key.toString("latin1");
