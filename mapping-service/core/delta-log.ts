/**
 * The newest changes of a network as they go out, encoded once and shared by all watchers, so that a watcher that lags costs a number
 * and not a queue. Versions in it are dense.
 */
export class DeltaLog {
  #frames: Uint8Array[] = [];
  #start = 0;
  #first = 0n;
  #octets = 0;

  get octets(): number {
    return this.#octets;
  }

  /** The frame that leads to `version`, or undefined when it is not kept (any more). */
  frame(version: bigint): Uint8Array | undefined {
    const index = version - this.#first;
    return index < 0n || index >= BigInt(this.#frames.length - this.#start) ? undefined : this.#frames[this.#start + Number(index)];
  }

  /** Keep `frame` as the newest; then forget the oldest until at most `budget` octets are kept. Throws RangeError when `version` is not the next. */
  push(version: bigint, frame: Uint8Array, budget: number): void {
    if (this.#start === this.#frames.length) this.#first = version;
    if (version !== this.#first + BigInt(this.#frames.length - this.#start)) throw new RangeError(`version ${version} is not the next`);
    this.#frames.push(frame);
    this.#octets += frame.length;
    while (this.#octets > budget) this.#shift();
  }

  clear(): void {
    this.#frames = [];
    this.#start = 0;
    this.#octets = 0;
  }

  #shift(): void {
    this.#octets -= this.#frames[this.#start]!.length;
    this.#start += 1;
    this.#first += 1n;
    // The head is cut off when it is half of the array: each frame is moved once at most, on average.
    if (this.#start * 2 <= this.#frames.length) return;
    this.#frames = this.#frames.slice(this.#start);
    this.#start = 0;
  }
}
