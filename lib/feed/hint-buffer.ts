import type { Hint } from "./hint.ts";

/** Changes kept while a reader is busy; past either the log is read instead. */
const MAX_HINTS = 64;
const MAX_OCTETS = 1_048_576;

/** Hints that carry their change and do not fit yet, by the version that they go on top of. Bounded, however slow the reader. */
export class HintBuffer {
  readonly #hints = new Map<bigint, Hint>();
  #octets = 0;

  get octets(): number {
    return this.#octets;
  }

  /** Kept if there is room: what is left out is in the log. */
  add(hint: Hint): void {
    const size = hint.delta?.length;
    if (size === undefined) return;
    this.#drop(hint.prev);
    if (this.#hints.size >= MAX_HINTS || this.#octets + size > MAX_OCTETS) return;
    this.#hints.set(hint.prev, hint);
    this.#octets += size;
  }

  /** The one that goes on top of `version`. */
  on(version: bigint): Hint | undefined {
    return this.#hints.get(version);
  }

  /** Forget what leads to `version` or less. */
  passed(version: bigint): void {
    for (const [prev, hint] of this.#hints) if (hint.version <= version) this.#drop(prev);
  }

  clear(): void {
    this.#hints.clear();
    this.#octets = 0;
  }

  #drop(prev: bigint): void {
    this.#octets -= this.#hints.get(prev)?.delta?.length ?? 0;
    this.#hints.delete(prev);
  }
}
