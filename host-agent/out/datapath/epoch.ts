import { randomInt } from "node:crypto";

const RANDOM_BITS = 20;

/**
 * A number for a life of counters, below 2^63: the wall clock's milliseconds before random bits. Later ones are larger while the clock is
 * right; where it is not (a machine may begin each life at the same second) they differ all the same.
 */
export function newEpoch(now = Date.now()): bigint {
  return (BigInt(now) << BigInt(RANDOM_BITS)) | BigInt(randomInt(1 << RANDOM_BITS));
}
