/** Waits for something to happen without missing what happens between two looks: a wake-up before `wait` ends it at once. */
export class Wake {
  #woken = false;
  #resolve: (() => void) | undefined;

  wake(): void {
    this.#woken = true;
    this.#resolve?.();
  }

  /** Until the next wake-up, `milliseconds` have passed, or the signal. Never throws. */
  async wait(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (!this.#woken && !(signal?.aborted ?? false)) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, milliseconds);
        signal?.addEventListener("abort", done, { once: true });
        this.#resolve = done;
      });
    }
    this.#resolve = undefined;
    this.#woken = false;
  }
}
