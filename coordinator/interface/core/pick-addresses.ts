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

/** Up to `count` addresses of `window`, lowest first, that are not in `taken`. */
export function freeIn(window: Window, taken: ReadonlySet<bigint>, count: number): bigint[] {
  const free: bigint[] = [];
  for (let address = window.first; address <= window.last && free.length < count; address += 1n) {
    if (!taken.has(address)) free.push(address);
  }
  return free;
}

/** Where the next pick begins: behind the last address given, so that an address that was let go rests for as long as possible. */
export function nextAfter(range: AddressRange, picked: readonly bigint[]): bigint | undefined {
  const last = picked.at(-1);
  if (last === undefined) return undefined;
  return last >= range.last ? range.first : last + 1n;
}
