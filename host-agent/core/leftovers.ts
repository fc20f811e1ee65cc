/** From when a device could be removed until it is, milliseconds: those of one moment go together. */
const LEAVE_MS = 10;
/** The same at most, where there is always something else to do first. */
const LEAVE_AT_MOST_MS = 1_000;
/** Devices that go together at most: while the kernel removes them, the agent can do nothing else. */
export const TOGETHER = 32;

export interface Due {
  readonly due: ReadonlySet<number>;
  /** When to look again, if nothing is to go now. */
  readonly lookAt: number | undefined;
}

/**
 * When devices are removed whose attachments are over. The kernel takes its time for that (it waits until nobody uses them), and nobody
 * waits for it: so first everything else is done and answered, and many go with one request.
 */
export class Leftovers {
  /** By wire id, since when it could be removed. */
  readonly #since = new Map<number, number>();

  /** Of all that could be removed now. `urgent`: another device waits for the going of one. `busy`: there is something to answer first. */
  due(now: number, wireIds: readonly number[], { urgent, busy }: { urgent: boolean; busy: boolean }): Due {
    const here = new Set(wireIds);
    for (const wireId of [...this.#since.keys()]) if (!here.has(wireId)) this.#since.delete(wireId);
    for (const wireId of wireIds) if (!this.#since.has(wireId)) this.#since.set(wireId, now);
    if (wireIds.length === 0) return { due: here, lookAt: undefined };
    const oldest = Math.min(...this.#since.values());
    const time = urgent ? now : oldest + LEAVE_MS;
    if (time > now) return { due: new Set(), lookAt: time };
    if (busy && now < oldest + LEAVE_AT_MOST_MS) return { due: new Set(), lookAt: now };
    return { due: new Set(wireIds.slice(0, TOGETHER)), lookAt: undefined };
  }
}
