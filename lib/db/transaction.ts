import { setTimeout as delay } from "node:timers/promises";
import type { IsolationLevel, Kysely, Transaction } from "kysely";
import { backoffMs } from "../retry/backoff.ts";
import { isPlanStale, isTransactionConflict } from "./errors.ts";

export interface TransactionOptions {
  /** Default "read committed": order comes from row locks (C1). */
  readonly isolation?: IsolationLevel;
  /** Runs in all, the first included; default 6. */
  readonly attempts?: number;
}

const BACKOFF = { firstMs: 8, maxMs: 200 };

/**
 * Run `body` in one transaction; commit when it returns, roll back when it throws. A serialization failure or deadlock runs it
 * again, so it must be pure apart from its statements: nothing sent, nothing remembered outside. After the last attempt the
 * database's error is thrown as it is.
 */
export async function transaction<Tables, Result>(
  db: Kysely<Tables>,
  body: (tx: Transaction<Tables>) => Promise<Result>,
  options: TransactionOptions = {},
): Promise<Result> {
  const isolation = options.isolation ?? "read committed";
  return repeated(() => db.transaction().setIsolationLevel(isolation).execute(body), options.attempts);
}

/** The same of whatever is a transaction already: a statement by itself. */
export async function repeated<Result>(run: () => Promise<Result>, attempts = 6): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (attempt >= attempts) throw error;
      if (isPlanStale(error)) continue;
      if (!isTransactionConflict(error)) throw error;
      // Full jitter: those that collided must not meet again.
      await delay(Math.random() * backoffMs(BACKOFF, attempt));
    }
  }
}

/** One consistent view of the database for all reads in `body` (REPEATABLE READ, read only). It blocks nobody and writes nothing. */
export async function snapshot<Tables, Result>(db: Kysely<Tables>, body: (tx: Transaction<Tables>) => Promise<Result>): Promise<Result> {
  const run = (): Promise<Result> => db.transaction().setIsolationLevel("repeatable read").setAccessMode("read only").execute(body);
  try {
    return await run();
  } catch (error) {
    if (!isPlanStale(error)) throw error;
    return run();
  }
}
