/** More waiting than this: the other side does not read, and the stream is of no use. */
const LIMIT = 10_000;

/** What is to be sent on a stream, in order. One reader. */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  /** False: the stream is over, or its reader is too far behind. */
  push(message: T): boolean {
    if (this.#ended || this.#waiting.length >= LIMIT) return false;
    this.#waiting.push(message);
    this.#wake?.();
    return true;
  }

  /** What waits is still sent. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) yield next;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
