/** More waiting than this: the other side does not read, and the stream is of no use. */
export const OUTBOX_LIMIT = 10_000;

/**
 * What is to be sent on a stream, in order. One reader. What is pushed is taken for told: a full one therefore ends its stream (`full`),
 * so that all is told anew on the next, and nothing is left out in silence.
 */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  readonly #full = new AbortController();
  #wake: (() => void) | undefined;
  #ended = false;

  /** Aborted when more waits than the other side will ever read. */
  get full(): AbortSignal {
    return this.#full.signal;
  }

  /** False: the stream is over, or is now because its reader is too far behind. */
  push(message: T): boolean {
    if (this.#ended) return false;
    if (this.#waiting.length >= OUTBOX_LIMIT) {
      this.#waiting.length = 0;
      this.end();
      this.#full.abort(new Error(`the other side does not read: ${OUTBOX_LIMIT} messages wait`));
      return false;
    }
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
