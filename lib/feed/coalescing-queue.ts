/**
 * What a slow reader has yet to get: one pending value per key, the newest, in the order in which the keys first waited. Its size is
 * bounded by the number of keys, however slow the reader.
 */
export class CoalescingQueue<Key, Value> implements AsyncIterable<Value> {
  readonly #pending = new Map<Key, Value>();
  #ended = false;
  #failure: Error | undefined;
  #wake = Promise.withResolvers<void>();

  /** Replace what waits under `key`. `merge` combines it with the waiting value instead. Nothing happens after the end. */
  set(key: Key, value: Value, merge?: (waiting: Value, next: Value) => Value): void {
    if (this.#ended) return;
    const waiting = this.#pending.get(key);
    this.#pending.set(key, waiting === undefined || merge === undefined ? value : merge(waiting, value));
    this.#wake.resolve();
  }

  /** Forget what waits. */
  clear(): void {
    this.#pending.clear();
  }

  get size(): number {
    return this.#pending.size;
  }

  /** The reader gets what waits, and then the end; or, with a failure, that at once. */
  end(failure?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#wake.resolve();
  }

  /** The next value; undefined at the end. One reader only. */
  async take(): Promise<Value | undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      for (const [key, value] of this.#pending) {
        this.#pending.delete(key);
        return value;
      }
      if (this.#ended) return undefined;
      this.#wake = Promise.withResolvers<void>();
      await this.#wake.promise;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Value, void, undefined> {
    for (;;) {
      const value = await this.take();
      if (value === undefined) return;
      yield value;
    }
  }
}
