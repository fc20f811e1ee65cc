import { sql } from "kysely";
import { notFound } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";
import { requireRoom } from "../../identity/api.ts";
import type { GroupSet } from "../core/model.ts";
import { unlessExhausted } from "./exhausted.ts";
import { holdSecurityGroups } from "./groups.ts";
import { peerChanges } from "./peer-sets.ts";
import type { PeerChange, SetsMoved } from "./peer-sets.ts";
import { renewUnnamed } from "./renew-rulesets.ts";
import type { RulesetChange } from "./renew-rulesets.ts";
import { compiled, insertRuleset } from "./rulesets.ts";
import { lockVpc } from "./vpcs.ts";

interface SetRow {
  readonly groupSetId: bigint;
  readonly rulesetId: bigint;
}

const numbers = (row: SetRow): GroupSet => ({ groupSetId: Number(row.groupSetId), rulesetId: Number(row.rulesetId) });

/** It is there until the transaction ends: who forgets sets passes over one that is held. */
async function findSet(tx: Tx, vpcId: string, members: string[]): Promise<SetRow | undefined> {
  const { rows } = await sql<SetRow>`
    SELECT group_set_id AS "groupSetId", ruleset_id AS "rulesetId" FROM group_set
    WHERE vpc_id = ${vpcId} AND members = ${members}::text[] FOR KEY SHARE`.execute(tx);
  return rows[0];
}

/** A set of groups that nobody uses. */
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
 * set's first use: `NetworkModule.withGroupSets` makes it and runs the call again. Until the transaction ends the groups and the set stay.
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

async function setCount(tx: Tx, vpcId: string): Promise<bigint> {
  const { rows } = await sql<{ count: bigint }>`SELECT count(*) AS count FROM group_set WHERE vpc_id = ${vpcId}`.execute(tx);
  return rows[0]?.count ?? 0n;
}

/** Make one set in a VPC that is locked; undefined when it is there, or one of its groups is not. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED). */
async function internOne(tx: Tx, { vpcId, members }: WantedGroupSet, ownerAccount: string): Promise<SetsMoved | undefined> {
  const groups = (await holdSecurityGroups(tx, members)).filter((group) => group.vpcId === vpcId);
  if (groups.length < members.length || (await findSet(tx, vpcId, [...members])) !== undefined) return undefined;
  await requireRoom(tx, ownerAccount, "group-sets-per-vpc", await setCount(tx, vpcId));
  const rulesetId = await insertRuleset(tx, compiled(groups));
  const { rows } = await unlessExhausted("group set ids", () =>
    sql<{ id: bigint }>`
    INSERT INTO group_set (group_set_id, vpc_id, members, ruleset_id)
    VALUES (nextval('group_set_id'), ${vpcId}, ${[...members]}::text[], ${rulesetId}) RETURNING group_set_id AS id`.execute(tx),
  );
  const id = rows[0]?.id;
  if (id === undefined) throw new Error("an insert returned nothing");
  return { groupSetId: Number(id), members };
}

/** What hosts must hear once sets were made. */
export interface SetsMade {
  readonly rulesets: readonly RulesetChange[];
  readonly peers: readonly PeerChange[];
}

/**
 * Make sets at their first use, in a transaction of their own. Rules that name a group of a new set mean more from now on, under the same
 * id: each host with such rules hears of the set (ADR 0011). Order of locks, for all that changes rules or sets: VPC, groups, sets, then
 * whatever the hooks lock (attachments), then scopes.
 */
export async function internGroupSets(tx: Tx, wanted: readonly WantedGroupSet[]): Promise<SetsMade> {
  const rulesets: RulesetChange[] = [];
  const peers: PeerChange[] = [];
  for (const [vpcId, own] of [...Map.groupBy(wanted, (one) => one.vpcId)].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const vpc = await lockVpc(tx, vpcId);
    if (vpc === undefined) continue; // the call that runs again says so
    const added: SetsMoved[] = [];
    for (const one of own) {
      const made = await internOne(tx, one, vpc.ownerAccount);
      if (made !== undefined) added.push(made);
    }
    if (added.length === 0) continue;
    peers.push(...(await peerChanges(tx, vpcId, { added })));
    rulesets.push(...(await renewUnnamed(tx, vpcId)));
  }
  return { rulesets, peers };
}

/**
 * What these sets mean now, by id, in one statement; it stays so until the transaction ends: who replaces rules, or makes or forgets sets of
 * the groups that they name, waits, and meets every attachment made before. Throws when there is no such set: ids come from `groupSetFor` only.
 */
export async function holdGroupSets(tx: Tx, groupSetIds: readonly number[]): Promise<Map<number, GroupSet>> {
  const wanted = [...new Set(groupSetIds)];
  const { rows } = await sql<SetRow>`
    SELECT group_set_id AS "groupSetId", ruleset_id AS "rulesetId" FROM group_set
    WHERE group_set_id = ANY(${wanted}::bigint[]) ORDER BY group_set_id FOR SHARE`.execute(tx);
  if (rows.length !== wanted.length) throw new Error(`one of the group sets ${wanted.join(", ")} is not there`);
  return new Map(rows.map((row) => [Number(row.groupSetId), numbers(row)]));
}
