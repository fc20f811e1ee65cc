import { sql } from "kysely";
import type { Kysely } from "kysely";
import type { Tx } from "../../call/api.ts";
import { peerChanges } from "./peer-sets.ts";
import type { PeerChange } from "./peer-sets.ts";
import { lockVpc } from "./vpcs.ts";

/** Seconds for which a set stays that nothing has: who ends interfaces often makes others with the same groups. */
const GRACE_S = 3_600;
/** Sets marked by one statement. */
const MARKED = 500;
/** Sets forgotten by one transaction, which holds a VPC. */
const FORGOTTEN = 100;

const USED = sql`(
  EXISTS (SELECT FROM interface WHERE interface.group_set_id = s.group_set_id)
  OR EXISTS (SELECT FROM attachment WHERE attachment.group_set_id = s.group_set_id AND state <> 4))`;

/** A set with a group that is gone can be named by no new record: numbers of groups are not given out again. It needs no grace. */
const UNNAMEABLE = sql`EXISTS (
  SELECT FROM unnest(s.members) AS member WHERE NOT EXISTS (SELECT FROM security_group WHERE security_group_id = member))`;

/** Note since when sets are of no record and no attachment, and of which that is over. Whoever holds a set is passed over, not waited for. */
export async function markIdle(db: Kysely<unknown>, signal?: AbortSignal): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    const { numAffectedRows = 0n } = await sql`
      WITH wrong AS (
        SELECT s.group_set_id, ${USED} AS used, ${UNNAMEABLE} AS unnameable FROM group_set s
        WHERE (s.idle_since IS NULL) <> ${USED} OR (s.idle_since > '-infinity' AND ${UNNAMEABLE})
        ORDER BY s.group_set_id LIMIT ${MARKED} FOR NO KEY UPDATE OF s SKIP LOCKED
      )
      UPDATE group_set SET idle_since = CASE WHEN used THEN NULL WHEN unnameable THEN '-infinity' ELSE now() END
      FROM wrong WHERE wrong.group_set_id = group_set.group_set_id`.execute(db);
    if (numAffectedRows < BigInt(MARKED)) return;
  }
}

const OVER = sql`s.idle_since < now() - make_interval(secs => ${GRACE_S})`;

/** VPCs with sets whose grace is over, those that are gone themselves included. */
export async function vpcsWithIdle(db: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ vpcId: string }>`SELECT DISTINCT vpc_id AS "vpcId" FROM group_set s WHERE ${OVER} ORDER BY 1`.execute(db);
  return rows.map((row) => row.vpcId);
}

/**
 * Forget some sets of a VPC that nothing has had for the grace; `more`: there may be others. Their numbers are not given out again (D5): a
 * connection that still names one is judged by the number that its next packet brings. Locks: VPC, sets, scopes.
 */
export async function forgetIdle(tx: Tx, vpcId: string): Promise<{ readonly peers: readonly PeerChange[]; readonly more: boolean }> {
  await lockVpc(tx, vpcId);
  const { rows } = await sql<{ id: bigint; members: string[] }>`
    SELECT group_set_id AS id, members FROM group_set s WHERE vpc_id = ${vpcId} AND ${OVER}
    ORDER BY group_set_id LIMIT ${FORGOTTEN} FOR UPDATE SKIP LOCKED`.execute(tx);
  const ids = rows.map((row) => row.id);
  // Looked at again now that nobody can take one of them: who had one held until a moment ago has its record written.
  const gone = await sql<{ id: bigint }>`
    DELETE FROM group_set s WHERE group_set_id = ANY(${ids.map(String)}::bigint[]) AND NOT ${USED} RETURNING group_set_id AS id`.execute(
    tx,
  );
  await sql`UPDATE group_set SET idle_since = NULL WHERE group_set_id = ANY(${ids.map(String)}::bigint[])`.execute(tx);
  const forgotten = new Set(gone.rows.map((row) => row.id));
  const removed = rows.flatMap(({ id, members }) => (forgotten.has(id) ? [{ groupSetId: Number(id), members }] : []));
  return { peers: removed.length === 0 ? [] : await peerChanges(tx, vpcId, { removed }), more: rows.length === FORGOTTEN };
}
