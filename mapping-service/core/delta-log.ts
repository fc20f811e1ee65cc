import type { Position } from "#lib/feed/feed.ts";
import type { Frame } from "./frames.ts";

/** One change as it goes out, and the position that it leads to. */
export interface LoggedDelta {
  readonly at: Position;
  readonly frame: Frame;
}

/**
 * The newest changes of a network as they go out, encoded once and shared by all watchers, so that a watcher that lags costs a number
 * and not a queue. Versions in it are dense, and each is known to go on top of the one before.
 */
export class DeltaLog {
  #deltas: LoggedDelta[] = [];
  #start = 0;
  /** The position that the oldest goes on top of. */
  #before: Position | undefined;
  #octets = 0;

  get octets(): number {
    return this.#octets;
  }

  /** What goes on top of a position, or undefined when it is not kept (any more), or the position is not one of this history. */
  after({ version, mark }: Position): LoggedDelta | undefined {
    if (this.#before === undefined) return undefined;
    const index = version - this.#before.version;
    if (index < 0n || index >= BigInt(this.#deltas.length - this.#start)) return undefined;
    const at = this.#start + Number(index);
    const below = index === 0n ? this.#before : this.#deltas[at - 1]?.at;
    return below?.mark === mark ? this.#deltas[at] : undefined;
  }

  /**
   * Keep `delta`, which goes on top of `before`, as the newest; then forget the oldest until at most `budget` octets are kept. Throws
   * RangeError when it is not the next.
   */
  push(before: Position, delta: LoggedDelta, budget: number): void {
    const newest = this.#deltas.length > this.#start ? this.#deltas.at(-1)?.at : undefined;
    const follows = newest === undefined || (newest.version === before.version && newest.mark === before.mark);
    if (!follows || delta.at.version !== before.version + 1n) throw new RangeError(`version ${delta.at.version} is not the next`);
    if (newest === undefined) this.#before = before;
    this.#deltas.push(delta);
    this.#octets += delta.frame.length;
    while (this.#octets > budget) this.#shift();
  }

  clear(): void {
    this.#deltas = [];
    this.#start = 0;
    this.#before = undefined;
    this.#octets = 0;
  }

  #shift(): void {
    const oldest = this.#deltas[this.#start]!;
    this.#octets -= oldest.frame.length;
    this.#before = oldest.at;
    this.#start += 1;
    // The head is cut off when it is half of the array: each frame is moved once at most, on average.
    if (this.#start * 2 <= this.#deltas.length) return;
    this.#deltas = this.#deltas.slice(this.#start);
    this.#start = 0;
  }
}
