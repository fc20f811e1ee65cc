import { sql } from "kysely";
import { RulesetItem, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";
import { compileRules } from "../core/compile-rules.ts";
import type { SetsOfGroups } from "../core/compile-rules.ts";
import type { GroupSet, SecurityGroup } from "../core/model.ts";
import { unlessExhausted } from "./exhausted.ts";
import { peerGroups } from "../core/rules.ts";
import { getSecurityGroups, groupsNaming, holdSecurityGroups } from "./groups.ts";
import { lockVpc } from "./vpcs.ts";

interface SetRow {
  readonly groupSetId: bigint;
  readonly rulesetId: bigint;
}

const numbers = (row: SetRow): GroupSet => ({ groupSetId: Number(row.groupSetId), rulesetId: Number(row.rulesetId) });

const encodeRules = (groups: readonly SecurityGroup[], sets: SetsOfGroups): Buffer =>
  Buffer.from(RulesetItem.encode({ rulesetId: 0, wanted: Wanted.UNSPECIFIED, rules: compileRules(groups, sets) }).finish());

/** Sets by the group that they contain. Groups of no set are left out. */
export async function setsWith(tx: Tx, groupIds: readonly string[]): Promise<Map<string, number[]>> {
  if (groupIds.length === 0) return new Map();
  const { rows } = await sql<{ member: string; sets: string[] }>`
    SELECT member, array_agg(group_set_id::text) AS sets FROM group_set, unnest(members) AS member
    WHERE members && ${[...groupIds]}::text[] AND member = ANY(${[...groupIds]}::text[]) GROUP BY member`.execute(tx);
  return new Map(rows.map(({ member, sets }) => [member, sets.map(Number)]));
}

/** Sets that contain the groups which these groups' rules name. */
const setsOfPeers = (tx: Tx, groups: readonly SecurityGroup[]): Promise<Map<string, number[]>> =>
  setsWith(tx, peerGroups(groups.flatMap((group) => group.rules)));

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

/** A set of groups that nobody has used so far. */
export interface WantedGroupSet {
  readonly vpcId: string;
  /** Sorted, without repeats. */
  readonly members: readonly string[];
}

/** Thrown by {@link groupSetFor}: the transaction cannot go on before the sets are made. Never seen by a caller of the API. */
export class GroupSetsMissing extends Error {
  readonly wanted: readonly WantedGroupSet[];

  constructor(wanted: readonly WantedGroupSet[]) {
    super("a set of security groups is used for the first time");
    this.wanted = wanted;
  }
}

/**
 * The set of these groups and the rules that it means (D2). The groups must be of the VPC, else NOT_FOUND. Throws GroupSetsMissing at a
 * set's first use: `NetworkModule.withGroupSets` makes it and runs the call again. Until the transaction ends the groups stay.
 */
export async function groupSetFor(tx: Tx, vpcId: string, groupIds: readonly string[]): Promise<GroupSet> {
  const members = [...new Set(groupIds)].sort();
  const groups = await holdSecurityGroups(tx, members);
  for (const id of members) {
    if (!groups.some((group) => group.securityGroupId === id && group.vpcId === vpcId)) throw notFound("security group", id);
  }
  const known = await findSet(tx, vpcId, members);
  if (known === undefined) throw new GroupSetsMissing([{ vpcId, members }]);
  return numbers(known);
}

/** Make one set in a VPC that is locked; undefined when it is there, or one of its groups is not. */
async function internOne(tx: Tx, { vpcId, members }: WantedGroupSet): Promise<number | undefined> {
  const groups = (await holdSecurityGroups(tx, members)).filter((group) => group.vpcId === vpcId);
  if (groups.length < members.length || (await findSet(tx, vpcId, [...members])) !== undefined) return undefined;
  const { rows } = await unlessExhausted("group set ids", () => sql<{ id: bigint }>`SELECT nextval('group_set_id') AS id`.execute(tx));
  const id = rows[0]?.id;
  if (id === undefined) throw new Error("a sequence returned nothing");
  const sets = await setsOfPeers(tx, groups);
  // Its own rules may name its own groups: it is one of their sets from now on.
  for (const member of members) sets.set(member, [...(sets.get(member) ?? []), Number(id)]);
  const rulesetId = await insertRuleset(tx, encodeRules(groups, sets));
  await sql`
    INSERT INTO group_set (group_set_id, vpc_id, members, ruleset_id)
    VALUES (${id}, ${vpcId}, ${[...members]}::text[], ${rulesetId})`.execute(tx);
  return Number(id);
}

/**
 * Make sets at their first use, in a transaction of their own. Rules that name a group of a new set mean more from now on: every set
 * with such rules gets another ruleset, which is answered. Order of locks, for all that changes rules or sets: VPC, groups, sets, then
 * whatever the hooks lock (attachments), then scopes.
 */
export async function internGroupSets(tx: Tx, wanted: readonly WantedGroupSet[]): Promise<RulesetChange[]> {
  const changes: RulesetChange[] = [];
  for (const [vpcId, own] of [...Map.groupBy(wanted, (one) => one.vpcId)].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if ((await lockVpc(tx, vpcId)) === undefined) continue; // the call that runs again says so
    const made: number[] = [];
    for (const one of own) {
      const id = await internOne(tx, one);
      if (id !== undefined) made.push(id);
    }
    if (made.length === 0) continue;
    const naming = await groupsNaming(tx, vpcId, [...new Set(own.flatMap((one) => one.members))]);
    const renewed = await renewRulesets(
      tx,
      naming.map((group) => group.securityGroupId),
    );
    changes.push(...renewed);
  }
  return changes;
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
 * Give every set with one of these groups a new ruleset, where its rules became others. Their VPC must be locked, with new rules stored
 * and new sets made: so of two changes at once the later sees both.
 */
export async function renewRulesets(tx: Tx, groupIds: readonly string[]): Promise<RulesetChange[]> {
  if (groupIds.length === 0) return [];
  const { rows } = await sql<SetRow & { members: string[] }>`
    SELECT group_set_id AS "groupSetId", ruleset_id AS "rulesetId", members
    FROM group_set WHERE members && ${[...groupIds]}::text[] ORDER BY group_set_id FOR UPDATE`.execute(tx);
  // Not joined above: after a wait for the lock a join would drop the sets whose ruleset became another meanwhile.
  const current = await storedRules(
    tx,
    rows.map((set) => set.rulesetId),
  );
  const changes: RulesetChange[] = [];
  for (const set of rows) {
    const groups = await getSecurityGroups(tx, set.members);
    const rules = encodeRules(groups, await setsOfPeers(tx, groups));
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
