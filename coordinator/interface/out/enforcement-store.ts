import { sql } from "kysely";
import type { Enforcement } from "../../network/api.ts";
import { goesByNewest } from "../core/enforcement.ts";
import type { Standpoint } from "../core/enforcement.ts";
import type { Reader } from "../ports.ts";

interface Counted extends Standpoint {
  readonly set: bigint;
  readonly count: bigint;
  readonly since: Date;
}

/** How far hosts are with the attachments of these group sets. Sets without an attachment on a host are left out. */
export async function enforcementOf(db: Reader, groupSetIds: readonly number[]): Promise<ReadonlyMap<number, Enforcement>> {
  const { rows } = await sql<Counted>`
    SELECT group_set_id AS set, wanted, applied_generation = generation AS newest, applied_state AS "appliedState", count(*) AS count,
           max(greatest(change_time, applied_time)) AS since
    FROM attachment WHERE group_set_id = ANY(${groupSetIds}::bigint[]) AND host_id IS NOT NULL AND state <> 4
    GROUP BY 1, 2, 3, 4`.execute(db);
  const found = new Map<number, Enforcement>();
  for (const row of rows) {
    const { carried, behind, since } = found.get(Number(row.set)) ?? { carried: 0, behind: 0, since: row.since };
    found.set(Number(row.set), {
      carried: carried + Number(row.count),
      behind: behind + (goesByNewest(row) ? 0 : Number(row.count)),
      since: row.since > since ? row.since : since,
    });
  }
  return found;
}

/** Ids of the attachments of these group sets that are on a host. */
export async function carriedBy(db: Reader, groupSetIds: readonly number[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT attachment_id AS id FROM attachment
    WHERE group_set_id = ANY(${groupSetIds}::bigint[]) AND host_id IS NOT NULL AND state <> 4`.execute(db);
  return rows.map((row) => row.id);
}
