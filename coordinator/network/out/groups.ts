import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import { violatedConstraint } from "#lib/db/errors.ts";
import { alreadyExists } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";
import type { Rule, SecurityGroup } from "../core/model.ts";

const COLUMNS = sql`
  security_group_id AS "securityGroupId", vpc_id AS "vpcId", owner_account AS "ownerAccount", name, description, rules, version,
  create_time AS "createTime", created_by AS "createdBy"`;

const select = async (tx: Tx, rest: RawBuilder<unknown>): Promise<SecurityGroup[]> => {
  const { rows } = await sql<SecurityGroup>`SELECT ${COLUMNS} FROM security_group ${rest}`.execute(tx);
  return rows;
};

/** Those of the ids that exist, in order of id. */
export function getSecurityGroups(tx: Tx, ids: readonly string[]): Promise<SecurityGroup[]> {
  return select(tx, sql`WHERE security_group_id = ANY(${[...ids]}::text[]) ORDER BY security_group_id`);
}

/** The same, and their rules stay what they are until the transaction ends. Others may hold the same lock. */
export function holdSecurityGroups(tx: Tx, ids: readonly string[]): Promise<SecurityGroup[]> {
  return select(tx, sql`WHERE security_group_id = ANY(${[...ids]}::text[]) ORDER BY security_group_id FOR SHARE`);
}

/** The group, for changing or deleting it: waits for everybody who holds it. */
export async function lockSecurityGroup(tx: Tx, id: string): Promise<SecurityGroup | undefined> {
  return (await select(tx, sql`WHERE security_group_id = ${id} FOR UPDATE`))[0];
}

export type NewSecurityGroup = Omit<SecurityGroup, "version" | "createTime">;

/** ALREADY_EXISTS (NAME_TAKEN) when the VPC has a group of that name. */
export async function insertSecurityGroup(tx: Tx, group: NewSecurityGroup): Promise<SecurityGroup> {
  try {
    const { rows } = await sql<SecurityGroup>`
      INSERT INTO security_group (security_group_id, vpc_id, owner_account, payer_account, created_by, name, description, rules)
      VALUES (${group.securityGroupId}, ${group.vpcId}, ${group.ownerAccount}, ${group.ownerAccount}, ${group.createdBy}, ${group.name},
              ${group.description}, ${JSON.stringify(group.rules)}::jsonb)
      RETURNING ${COLUMNS}`.execute(tx);
    const row = rows[0];
    if (row === undefined) throw new Error("an insert returned nothing");
    return row;
  } catch (error) {
    if (violatedConstraint(error)?.constraint !== "security_group_name") throw error;
    throw nameTaken(group);
  }
}

function nameTaken({ vpcId, name }: Pick<SecurityGroup, "vpcId" | "name">): Error {
  return alreadyExists("NAME_TAKEN", `${vpcId} has a security group named ${JSON.stringify(name)} already; choose another name`, {
    name,
    vpc_id: vpcId,
  });
}

/** Write name and description of a locked group. ALREADY_EXISTS (NAME_TAKEN) when the VPC has another one of that name. */
export async function describeGroup(
  tx: Tx,
  group: Pick<SecurityGroup, "securityGroupId" | "vpcId" | "name" | "description">,
): Promise<SecurityGroup> {
  try {
    const { rows } = await sql<SecurityGroup>`
      UPDATE security_group SET name = ${group.name}, description = ${group.description}, version = version + 1
      WHERE security_group_id = ${group.securityGroupId} RETURNING ${COLUMNS}`.execute(tx);
    const row = rows[0];
    if (row === undefined) throw new Error(`the locked security group ${group.securityGroupId} is gone`);
    return row;
  } catch (error) {
    if (violatedConstraint(error)?.constraint !== "security_group_name") throw error;
    throw nameTaken(group);
  }
}

export async function updateRules(tx: Tx, id: string, rules: readonly Rule[]): Promise<SecurityGroup> {
  const { rows } = await sql<SecurityGroup>`
    UPDATE security_group SET rules = ${JSON.stringify(rules)}::jsonb, version = version + 1 WHERE security_group_id = ${id}
    RETURNING ${COLUMNS}`.execute(tx);
  const row = rows[0];
  if (row === undefined) throw new Error(`the locked security group ${id} is gone`);
  return row;
}

export async function deleteSecurityGroup(tx: Tx, id: string): Promise<void> {
  await sql`DELETE FROM security_group WHERE security_group_id = ${id}`.execute(tx);
}

/** Those of a VPC whose rules name one of these groups as a peer. Exact only while the VPC is locked. */
export function groupsNaming(tx: Tx, vpcId: string, peers: readonly string[]): Promise<SecurityGroup[]> {
  const names = sql`EXISTS (SELECT FROM jsonb_array_elements(rules) AS rule WHERE rule ->> 'groupId' = ANY(${[...peers]}::text[]))`;
  return select(tx, sql`WHERE vpc_id = ${vpcId} AND ${names} ORDER BY security_group_id`);
}

/** All of a VPC, in order of id. */
export function groupsOfVpc(tx: Tx, vpcId: string): Promise<SecurityGroup[]> {
  return select(tx, sql`WHERE vpc_id = ${vpcId} ORDER BY security_group_id`);
}

/** How many a VPC has, its default group included. Exact only while the VPC is locked. */
export async function groupCount(tx: Tx, vpcId: string): Promise<bigint> {
  const { rows } = await sql<{ count: bigint }>`SELECT count(*) AS count FROM security_group WHERE vpc_id = ${vpcId}`.execute(tx);
  return rows[0]?.count ?? 0n;
}

export interface GroupFilter {
  /** Only of this account; undefined: of all. */
  readonly ownerAccount: string | undefined;
  /** Only of this VPC; empty: of all. */
  readonly vpcId: string;
  /** Ids greater than this. */
  readonly after: string;
  readonly limit: number;
}

/** In order of id. */
export function listSecurityGroups(tx: Tx, filter: GroupFilter): Promise<SecurityGroup[]> {
  const owner = filter.ownerAccount === undefined ? sql`true` : sql`owner_account = ${filter.ownerAccount}`;
  const vpc = filter.vpcId === "" ? sql`true` : sql`vpc_id = ${filter.vpcId}`;
  return select(
    tx,
    sql`WHERE ${owner} AND ${vpc} AND security_group_id > ${filter.after} ORDER BY security_group_id LIMIT ${filter.limit}`,
  );
}
