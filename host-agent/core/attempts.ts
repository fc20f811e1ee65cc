import { backoffMs, type Backoff } from "#lib/retry/backoff.ts";

interface Failure {
  message: string;
  tries: number;
  /** When it may be tried again, in the pass's time. */
  at: number;
}

/**
 * Runs the kernel steps of a pass. A step that throws is remembered with its message and tried again after a growing wait; the others
 * go on. A pass has a bounded time (and does one step at least), so that the event loop gets its turn between passes.
 */
export class Attempts {
  readonly #backoff: Backoff;
  readonly #clock: () => number;
  readonly #budgetMs: number;
  readonly #onFailure: (key: string, error: Error) => void;
  readonly #failures = new Map<string, Failure>();
  readonly #tried = new Set<string>();
  #now = 0;
  #end = 0;
  #putOff = false;

  /** `clock`: monotonic milliseconds. `budgetMs`: what a pass may take before it leaves the rest to the next one. */
  constructor(options: { backoff: Backoff; clock: () => number; budgetMs: number; onFailure: (key: string, error: Error) => void }) {
    this.#backoff = options.backoff;
    this.#clock = options.clock;
    this.#budgetMs = options.budgetMs;
    this.#onFailure = options.onFailure;
  }

  /** A pass begins. Returns its time. */
  begin(): number {
    this.#now = this.#clock();
    this.#end = this.#now + this.#budgetMs;
    this.#putOff = false;
    this.#tried.clear();
    return this.#now;
  }

  /** Whether steps of this pass were left to the next one. */
  get putOff(): boolean {
    return this.#putOff;
  }

  /** Whether the step failed lately, and is not to be tried in this pass. */
  waits(key: string): boolean {
    const failure = this.#failures.get(key);
    return failure !== undefined && failure.at > this.#now;
  }

  /** Whether this pass has run a step. */
  get worked(): boolean {
    return this.#tried.size > 0;
  }

  /** Runs `step` unless it failed lately or the pass has had its time (an `urgent` one runs all the same). True: it ran and worked. */
  run(key: string, step: () => void, urgent = false): boolean {
    if (this.waits(key)) return false;
    if (!urgent && (this.#putOff || (this.#tried.size > 0 && this.#clock() >= this.#end))) {
      this.#putOff = true;
      return false;
    }
    this.#tried.add(key);
    try {
      step();
    } catch (error) {
      this.fail(key, error);
      return false;
    }
    this.#failures.delete(key);
    return true;
  }

  /** For a step that ended badly after the pass (removal of an instance is asynchronous). */
  fail(key: string, error: unknown): void {
    const tries = (this.#failures.get(key)?.tries ?? 0) + 1;
    const wait = backoffMs(this.#backoff, tries);
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#failures.set(key, { message: cause.message, tries, at: this.#now + wait });
    this.#onFailure(key, cause);
  }

  /** Why the step does not work, while it does not. */
  message(key: string): string | undefined {
    return this.#failures.get(key)?.message;
  }

  /** What was wanted has changed: the next attempt may come at once. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  get failing(): number {
    return this.#failures.size;
  }

  /** Ends a pass; returns when the next failed step is due. A failure whose step nobody asked for any more is dropped. */
  end(): number | undefined {
    let next: number | undefined;
    for (const [key, failure] of this.#failures) {
      if (failure.at <= this.#now && !this.#tried.has(key) && !this.#putOff) this.#failures.delete(key);
      else if (next === undefined || failure.at < next) next = failure.at;
    }
    return next;
  }
}
