import { sql } from "kysely";
import type { Kysely, Transaction } from "kysely";
import { expect, onTestFinished } from "vitest";

/** Which waits count; default all of the server. */
export interface LockWaits {
  /** Only for locks of this kind, as PostgreSQL calls it: "advisory", "transactionid", … */
  kind?: string;
  /** Only of statements with this in their text. */
  text?: string;
}

/** How many statements wait for a lock that another transaction holds. */
export async function lockWaits<Tables>(db: Kysely<Tables>, { kind = "%", text = "" }: LockWaits = {}): Promise<number> {
  // Not of pg_stat_activity alone: that shows a role only its own waits.
  const { rows } = await sql`
    SELECT FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND locktype LIKE ${kind} AND (${text} = '' OR strpos(query, ${text}) > 0)`.execute(db);
  return rows.length;
}

/** Until somebody waits for a lock: an event, where a pause would be a guess. It may be asked inside the transaction that holds it. */
export const lockAwaited = <Tables>(db: Kysely<Tables>, which: LockWaits = {}) =>
  expect.poll(() => lockWaits(db, which), { timeout: 8_000 }).toBeGreaterThan(0);

/**
 * A transaction that has done `body` and stays open, as a call does that goes on for long. It commits with `release`, at the latest when
 * the test has ended: one that fails half way must not hold up what comes after it.
 */
export async function holdOpen<Tables, Result>(
  db: Kysely<Tables>,
  body: (tx: Transaction<Tables>) => Promise<Result>,
): Promise<{ result: Result; release: () => Promise<void> }> {
  const end = Promise.withResolvers<void>();
  const done = Promise.withResolvers<Result>();
  const open = db.transaction().execute(async (tx) => {
    done.resolve(await body(tx));
    await end.promise;
  });
  open.catch((error: unknown) => done.reject(error));
  const release = (): Promise<void> => {
    end.resolve();
    return open;
  };
  onTestFinished(release);
  return { result: await done.promise, release };
}
