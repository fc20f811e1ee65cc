import { sql } from "kysely";
import type { Kysely } from "kysely";
import type { BatchOptions } from "../db/delete-in-batches.ts";

/** Changes that one statement forgets, about. */
const BATCH = 10_000;

interface Old {
  readonly scope: string;
  readonly first: bigint;
  readonly last: bigint;
}

/** What goes with one statement each: up to which version of which scopes. A long one goes in steps, its oldest first. */
function* batchesOf(scopes: readonly Old[], most: bigint): Generator<Pick<Old, "scope" | "last">[], void, undefined> {
  let batch: Pick<Old, "scope" | "last">[] = [];
  let room = most;
  for (const { scope, first, last } of scopes) {
    for (let below = first - 1n; below < last;) {
      const until = below + room < last ? below + room : last;
      batch.push({ scope, last: until });
      room -= until - below;
      below = until;
      if (room > 0n) continue;
      yield batch;
      batch = [];
      room = most;
    }
  }
  if (batch.length > 0) yield batch;
}

/**
 * Forget changes older than `keepSeconds`, from the old end of each scope, so that what stays is without a gap at any time. A follower that
 * was away for longer finds the history gone and starts from a snapshot. Each batch is a transaction of its own. Returns how many went.
 */
export async function trimChanges<Tables>(
  db: Kysely<Tables>,
  keepSeconds: number,
  { batch = BATCH, signal }: BatchOptions = {},
): Promise<bigint> {
  const { rows } = await sql<Old>`
    SELECT scope, min(version) AS first, max(version) AS last FROM change
    WHERE created_at < clock_timestamp() - make_interval(secs => ${keepSeconds}) GROUP BY scope ORDER BY scope`.execute(db);
  let gone = 0n;
  for (const scopes of batchesOf(rows, BigInt(batch))) {
    signal?.throwIfAborted();
    const { numAffectedRows = 0n } = await sql`
      DELETE FROM change USING unnest(${scopes.map(({ scope }) => scope)}::text[], ${scopes.map(({ last }) => last)}::bigint[]) AS cut (scope, version)
      WHERE change.scope = cut.scope AND change.version <= cut.version`.execute(db);
    gone += numAffectedRows;
  }
  return gone;
}
