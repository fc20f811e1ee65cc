import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Tx } from "../../call/api.ts";
import { getSecurityGroups } from "./groups.ts";
import { compiled, insertRuleset, storedRules } from "./rulesets.ts";

/** What a group set means now. */
export interface RulesetChange {
  readonly groupSetId: number;
  readonly previousRulesetId: number;
  readonly rulesetId: number;
}

/**
 * Give every set with one of these groups a new ruleset, where its rules became others. Their VPC must be locked, with new rules stored:
 * so of two changes at once the later sees both.
 */
export async function renewRulesets(tx: Tx, groupIds: readonly string[]): Promise<RulesetChange[]> {
  return groupIds.length === 0 ? [] : renew(tx, sql`members && ${[...groupIds]}::text[]`);
}

/**
 * Rulesets of before groups were named in them have the sets of then: once, those of a locked VPC are made anew. Those that name no group
 * stay what they are, and are marked.
 */
export async function renewUnnamed(tx: Tx, vpcId: string): Promise<RulesetChange[]> {
  const unnamed = sql`SELECT ruleset_id FROM ruleset JOIN group_set USING (ruleset_id) WHERE vpc_id = ${vpcId} AND peer_groups IS NULL`;
  const changes = await renew(tx, sql`ruleset_id IN (${unnamed})`);
  await sql`UPDATE ruleset SET peer_groups = '{}' WHERE ruleset_id IN (${unnamed})`.execute(tx);
  return changes;
}

async function renew(tx: Tx, which: RawBuilder<unknown>): Promise<RulesetChange[]> {
  const { rows } = await sql<{ groupSetId: bigint; rulesetId: bigint; members: string[] }>`
    SELECT group_set_id AS "groupSetId", ruleset_id AS "rulesetId", members
    FROM group_set WHERE ${which} ORDER BY group_set_id FOR NO KEY UPDATE`.execute(tx);
  if (rows.length === 0) return [];
  // Not joined above: after a wait for the lock a join would drop the sets whose ruleset became another meanwhile.
  const current = await storedRules(
    tx,
    rows.map((set) => set.rulesetId),
  );
  const groups = new Map(
    (await getSecurityGroups(tx, [...new Set(rows.flatMap((set) => set.members))])).map((one) => [one.securityGroupId, one]),
  );
  const changes: RulesetChange[] = [];
  for (const set of rows) {
    const now = compiled(set.members.flatMap((id) => groups.get(id) ?? []));
    if (current.get(set.rulesetId)?.equals(now.rules) === true) continue;
    const rulesetId = await insertRuleset(tx, now);
    await sql`UPDATE group_set SET ruleset_id = ${rulesetId} WHERE group_set_id = ${set.groupSetId}`.execute(tx);
    changes.push({ groupSetId: Number(set.groupSetId), previousRulesetId: Number(set.rulesetId), rulesetId: Number(rulesetId) });
  }
  return changes;
}
