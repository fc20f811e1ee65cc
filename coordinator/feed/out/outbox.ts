/** What waits to be sent on one stream. Bounded: whoever fills it waits for the reader. */
export class Outbox<Message> {
  readonly #waiting: Message[] = [];
  readonly #limit: number;
  #ended = false;
  #failure: Error | undefined;
  #filled = Promise.withResolvers<void>();
  #drained = Promise.withResolvers<void>();

  constructor(limit = 64) {
    this.#limit = limit;
  }

  /** Resolves when there is room again, or nobody reads any more. After the end messages are dropped. */
  async push(message: Message): Promise<void> {
    if (this.#ended) return;
    this.#waiting.push(message);
    this.#filled.resolve();
    while (this.#waiting.length >= this.#limit && !this.#ended) await this.#drained.promise;
  }

  /** The reader gets no more; with a failure it gets that, at once. Only the first end counts. */
  end(failure?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#filled.resolve();
    this.#drained.resolve();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** One reader only. */
  async *read(): AsyncGenerator<Message, void, undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const message = this.#waiting.shift();
      if (message !== undefined) {
        this.#drained.resolve();
        this.#drained = Promise.withResolvers();
        yield message;
        continue;
      }
      if (this.#ended) return;
      this.#filled = Promise.withResolvers();
      await this.#filled.promise;
    }
  }
}
