import type { Reader } from "../ports.ts";

/** Two reads that need nothing of each other: at once from the pool, one after the other inside a transaction, which has one connection. */
export async function together<A, B>(db: Reader, first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  if (db.isTransaction) return [await first(), await second()];
  return Promise.all([first(), second()]);
}
