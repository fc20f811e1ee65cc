import { sql } from "kysely";
import type { Kysely } from "kysely";

/**
 * Forget changes older than `keepSeconds`, from the old end of each scope, so that what stays is without a gap. A follower that was
 * away for longer finds the history gone and starts from a snapshot. Returns how many went.
 */
export async function trimChanges<Tables>(db: Kysely<Tables>, keepSeconds: number): Promise<bigint> {
  const { numAffectedRows } = await sql`
    WITH cut AS (
      SELECT scope, max(version) AS version FROM change
      WHERE created_at < clock_timestamp() - make_interval(secs => ${keepSeconds}) GROUP BY scope
    )
    DELETE FROM change USING cut WHERE change.scope = cut.scope AND change.version <= cut.version`.execute(db);
  return numAffectedRows ?? 0n;
}
