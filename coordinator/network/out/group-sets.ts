import { sql } from "kysely";
import { RulesetItem, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";
import { compileRules } from "../core/compile-rules.ts";
import type { GroupSet, SecurityGroup } from "../core/model.ts";
import { unlessExhausted } from "./exhausted.ts";
import { getSecurityGroups, holdSecurityGroups } from "./groups.ts";

interface SetRow {
  readonly groupSetId: bigint;
  readonly rulesetId: bigint;
}

const numbers = (row: SetRow): GroupSet => ({ groupSetId: Number(row.groupSetId), rulesetId: Number(row.rulesetId) });

const encodeRules = (groups: readonly SecurityGroup[]): Buffer =>
  Buffer.from(RulesetItem.encode({ rulesetId: 0, wanted: Wanted.UNSPECIFIED, rules: compileRules(groups) }).finish());

async function insertRuleset(tx: Tx, rules: Buffer): Promise<bigint> {
  const { rows } = await unlessExhausted("ruleset ids", () =>
    sql<{ id: bigint }>`
    INSERT INTO ruleset (ruleset_id, rules) VALUES (nextval('ruleset_id'), ${rules}) RETURNING ruleset_id AS id`.execute(tx),
  );
  const id = rows[0]?.id;
  if (id === undefined) throw new Error("an insert returned nothing");
  return id;
}

async function findSet(tx: Tx, vpcId: string, members: string[]): Promise<SetRow | undefined> {
  const { rows } = await sql<SetRow>`
    SELECT group_set_id AS "groupSetId", ruleset_id AS "rulesetId" FROM group_set
    WHERE vpc_id = ${vpcId} AND members = ${members}::text[]`.execute(tx);
  return rows[0];
}

/**
 * The set of these groups and the rules that it means, made at its first use (D2). The groups must be of the VPC, else NOT_FOUND.
 * Until the transaction ends their rules do not change: who replaces them meets every attachment that was made before.
 * Call it before locking rows of interfaces: rules are replaced in the order groups, then interfaces.
 */
export async function groupSetFor(tx: Tx, vpcId: string, groupIds: readonly string[]): Promise<GroupSet> {
  const members = [...new Set(groupIds)].sort();
  const groups = await holdSecurityGroups(tx, members);
  for (const id of members) {
    if (!groups.some((group) => group.securityGroupId === id && group.vpcId === vpcId)) throw notFound("security group", id);
  }
  const known = await findSet(tx, vpcId, members);
  if (known !== undefined) return numbers(known);
  const rulesetId = await insertRuleset(tx, encodeRules(groups));
  const { rows } = await unlessExhausted("group set ids", () =>
    sql<SetRow>`
    INSERT INTO group_set (group_set_id, vpc_id, members, ruleset_id)
    VALUES (nextval('group_set_id'), ${vpcId}, ${members}::text[], ${rulesetId})
    ON CONFLICT ON CONSTRAINT group_set_members DO NOTHING
    RETURNING group_set_id AS "groupSetId", ruleset_id AS "rulesetId"`.execute(tx),
  );
  // Nothing returned: somebody else made the set while we did, and has committed.
  const row = rows[0] ?? (await findSet(tx, vpcId, members));
  if (row === undefined) throw new Error("a group set is there and is not there");
  return numbers(row);
}

/**
 * What these sets mean now, by id, in one statement; it stays so until the transaction ends: who replaces rules waits, and meets every
 * attachment made before. Throws when there is no such set: ids come from `groupSetFor` only.
 */
export async function holdGroupSets(tx: Tx, groupSetIds: readonly number[]): Promise<Map<number, GroupSet>> {
  const wanted = [...new Set(groupSetIds)];
  const { rows } = await sql<SetRow>`
    SELECT group_set_id AS "groupSetId", ruleset_id AS "rulesetId" FROM group_set
    WHERE group_set_id = ANY(${wanted}::bigint[]) ORDER BY group_set_id FOR SHARE`.execute(tx);
  if (rows.length !== wanted.length) throw new Error(`one of the group sets ${wanted.join(", ")} is not there`);
  return new Map(rows.map((row) => [Number(row.groupSetId), numbers(row)]));
}

async function storedRules(tx: Tx, rulesetIds: readonly bigint[]): Promise<Map<bigint, Buffer>> {
  const { rows } = await sql<{ id: bigint; rules: Buffer }>`
    SELECT ruleset_id AS id, rules FROM ruleset WHERE ruleset_id = ANY(${[...new Set(rulesetIds)].map(String)}::bigint[])`.execute(tx);
  return new Map(rows.map(({ id, rules }) => [id, rules]));
}

/** What a group set means now. */
export interface RulesetChange {
  readonly groupSetId: number;
  readonly previousRulesetId: number;
  readonly rulesetId: number;
}

/**
 * Give every set with this group a new ruleset, where its rules became others. The group must be locked, with its new rules stored.
 * Sets are locked before the rules of their members are read, so that of two groups of one set changed at once the later sees both.
 */
export async function renewRulesets(tx: Tx, groupId: string): Promise<RulesetChange[]> {
  const { rows } = await sql<SetRow & { members: string[] }>`
    SELECT group_set_id AS "groupSetId", ruleset_id AS "rulesetId", members
    FROM group_set WHERE members @> ${[groupId]}::text[] ORDER BY group_set_id FOR UPDATE`.execute(tx);
  // Not joined above: after a wait for the lock a join would drop the sets whose ruleset became another meanwhile.
  const current = await storedRules(
    tx,
    rows.map((set) => set.rulesetId),
  );
  const changes: RulesetChange[] = [];
  for (const set of rows) {
    const rules = encodeRules(await getSecurityGroups(tx, set.members));
    if (current.get(set.rulesetId)?.equals(rules) === true) continue;
    const rulesetId = await insertRuleset(tx, rules);
    await sql`UPDATE group_set SET ruleset_id = ${rulesetId} WHERE group_set_id = ${set.groupSetId}`.execute(tx);
    changes.push({ groupSetId: Number(set.groupSetId), previousRulesetId: Number(set.rulesetId), rulesetId: Number(rulesetId) });
  }
  return changes;
}

/** Rulesets as hosts are sent them (wanted = PRESENT), by id. */
export async function rulesetItems(tx: Tx, rulesetIds: readonly number[]): Promise<Map<number, RulesetItem>> {
  const stored = await storedRules(tx, rulesetIds.map(BigInt));
  return new Map(
    [...stored].map(([id, rules]) => [
      Number(id),
      { rulesetId: Number(id), wanted: Wanted.PRESENT, rules: RulesetItem.decode(rules).rules },
    ]),
  );
}

/** One ruleset as hosts are sent it. Throws when there is none: ids come from group sets only. */
export async function rulesetItem(tx: Tx, rulesetId: number): Promise<RulesetItem> {
  const item = (await rulesetItems(tx, [rulesetId])).get(rulesetId);
  if (item === undefined) throw new Error(`there is no ruleset ${rulesetId}`);
  return item;
}
