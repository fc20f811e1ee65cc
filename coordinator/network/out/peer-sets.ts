import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";
import { groupsNaming } from "./groups.ts";
import { getVpc } from "./vpcs.ts";

/** Sets by the group that they contain. Groups of no set are left out. */
export async function setsWith(tx: Tx, groupIds: readonly string[]): Promise<Map<string, number[]>> {
  if (groupIds.length === 0) return new Map();
  const { rows } = await sql<{ member: string; sets: string[] }>`
    SELECT member, array_agg(group_set_id::text) AS sets FROM group_set, unnest(members) AS member
    WHERE members && ${[...groupIds]}::text[] AND member = ANY(${[...groupIds]}::text[]) GROUP BY member`.execute(tx);
  return new Map(rows.map(({ member, sets }) => [member, sets.map(Number)]));
}

/** Sets of a VPC that came or went, and what they contain. */
export interface SetsMoved {
  readonly groupSetId: number;
  readonly members: readonly string[];
}

/** To be told to every host with rules that name the group (D6). */
export interface PeerChange {
  readonly networkId: bigint;
  readonly groupId: string;
  readonly added: readonly number[];
  readonly removed: readonly number[];
}

/**
 * What hosts must hear of sets that came or went. Whoever is just telling a host of rules that name one of their groups has ended when this
 * answers, and who begins now finds the sets as they are: it locks every set with such rules, against `holdGroupSets`. The VPC is locked.
 */
export async function peerChanges(
  tx: Tx,
  vpcId: string,
  moved: { readonly added?: readonly SetsMoved[]; readonly removed?: readonly SetsMoved[] },
): Promise<PeerChange[]> {
  const { added = [], removed = [] } = moved;
  const members = [...new Set([...added, ...removed].flatMap((set) => set.members))].sort();
  const naming = await groupsNaming(tx, vpcId, members);
  const vpc = naming.length === 0 ? undefined : await getVpc(tx, vpcId);
  if (vpc === undefined) return [];
  const named = new Set(naming.flatMap((group) => group.rules.map((rule) => rule.groupId)));
  await sql`
    SELECT FROM group_set WHERE members && ${naming.map((group) => group.securityGroupId)}::text[]
    ORDER BY group_set_id FOR NO KEY UPDATE`.execute(tx);
  const ids = (sets: readonly SetsMoved[], groupId: string): number[] =>
    sets.filter((set) => set.members.includes(groupId)).map((set) => set.groupSetId);
  return members
    .filter((groupId) => named.has(groupId))
    .map((groupId) => ({ networkId: vpc.networkId, groupId, added: ids(added, groupId), removed: ids(removed, groupId) }));
}
