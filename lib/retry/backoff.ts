/** Waits between attempts of what fails: each twice the one before. Milliseconds, `firstMs` above 0 and at most `maxMs`. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** How long to wait after so many failures in a row (1 and up). */
export function backoffMs({ firstMs, maxMs }: Backoff, failures: number): number {
  return Math.min(firstMs * 2 ** (failures - 1), maxMs);
}

/** The same, by chance in the upper half of it: those that failed together do not come back in step. `random`: 0 to 1. */
export function spreadBackoffMs(backoff: Backoff, failures: number, random: number = Math.random()): number {
  return backoffMs(backoff, failures) * (0.5 + random / 2);
}
