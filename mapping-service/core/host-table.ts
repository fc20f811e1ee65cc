/** A host as a target names it. */
export interface HostPlace {
  readonly hostId: string;
  readonly hostAddress: string;
}

interface Entry extends HostPlace {
  uses: number;
}

/** Numbers for the hosts of a network: thousands of targets name the same few. A host that no target names is forgotten. */
export class HostTable {
  readonly #entries: (Entry | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #numbers = new Map<string, number>();

  /** Hosts in use. */
  get size(): number {
    return this.#numbers.size;
  }

  /** The host's number; one use more. */
  acquire(hostId: string, hostAddress: string): number {
    const key = `${hostId} ${hostAddress}`;
    const known = this.#numbers.get(key);
    const number = known ?? this.#free.pop() ?? this.#entries.length;
    if (known === undefined) {
      this.#numbers.set(key, number);
      this.#entries[number] = { hostId, hostAddress, uses: 0 };
    }
    this.#at(number).uses += 1;
    return number;
  }

  /** One use less. */
  release(number: number): void {
    const entry = this.#at(number);
    entry.uses -= 1;
    if (entry.uses > 0) return;
    this.#numbers.delete(`${entry.hostId} ${entry.hostAddress}`);
    this.#entries[number] = undefined;
    this.#free.push(number);
  }

  get(number: number): HostPlace {
    return this.#at(number);
  }

  #at(number: number): Entry {
    const entry = this.#entries[number];
    if (entry === undefined) throw new RangeError(`there is no host ${number}`);
    return entry;
  }
}
