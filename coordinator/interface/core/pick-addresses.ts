/** Addresses as numbers, inclusive: what a subnet may give to interfaces. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** One stretch of a subnet to look at. */
export type Window = AddressRange;

const FIRST_WINDOW = 256n;
const GROWTH = 4n;

/**
 * The stretches in which to look for `count` free addresses, in order: from `next` to the end, then around to what lies before it.
 * Small at first (usually the first one has enough), each larger than the one before; together they are the whole range, once.
 */
export function* windowsFrom(range: AddressRange, next: bigint, count: number): Generator<Window, void, undefined> {
  const start = next < range.first || next > range.last ? range.first : next;
  let size = BigInt(count) > FIRST_WINDOW ? BigInt(count) : FIRST_WINDOW;
  for (const part of [
    { first: start, last: range.last },
    { first: range.first, last: start - 1n },
  ]) {
    let first = part.first;
    while (first <= part.last) {
      const end = first + size - 1n;
      const last = end < part.last ? end : part.last;
      yield { first, last };
      first = last + 1n;
      size *= GROWTH;
    }
  }
}

/** What keeps an address that no record names from being the first choice; picked in this order when nothing better is free. */
export type Lien = "residue" | "held";
const CHOICES = ["free", "residue", "held"] as const satisfies readonly ("free" | Lien)[];

/** Addresses collected window by window until `count` are found that can be attached at once; or, at the end, the best of the others. */
export class Picking {
  readonly #count: number;
  readonly #found: Record<(typeof CHOICES)[number], bigint[]> = { free: [], residue: [], held: [] };

  constructor(count: number) {
    this.#count = count;
  }

  /** No further window is needed. */
  get enough(): boolean {
    return this.#found.free.length === this.#count;
  }

  /** Look through one window, lowest first: `taken` are not to be given at all, those with a lien only where there is no other. */
  look(window: Window, taken: ReadonlySet<bigint>, liens: ReadonlyMap<bigint, Lien>): void {
    for (let address = window.first; address <= window.last && !this.enough; address += 1n) {
      if (taken.has(address)) continue;
      const of = this.#found[liens.get(address) ?? "free"];
      if (of.length < this.#count) of.push(address);
    }
  }

  /** The best found, `count` at most. */
  picked(): bigint[] {
    return CHOICES.flatMap((choice) => this.#found[choice]).slice(0, this.#count);
  }
}

/** Where the next pick begins: behind the last address given, so that an address that was let go rests for as long as possible. */
export function nextAfter(range: AddressRange, picked: readonly bigint[]): bigint | undefined {
  const last = picked.at(-1);
  if (last === undefined) return undefined;
  return last >= range.last ? range.first : last + 1n;
}
