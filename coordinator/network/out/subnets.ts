import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Tx } from "../../call/api.ts";
import type { Subnet } from "../core/model.ts";

const SELECT = sql`
  SELECT s.subnet_id AS "subnetId", s.vpc_id AS "vpcId", s.owner_account AS "ownerAccount", s.name, s.cidr_block::text AS "cidrBlock",
         s.zone_id AS "zoneId", s.version, s.create_time AS "createTime", s.created_by AS "createdBy", v.network_id AS "networkId", v.vni,
         v.default_security_group_id AS "defaultSecurityGroupId"
  FROM subnet s JOIN vpc v USING (vpc_id)`;

const select = async (tx: Tx, rest: RawBuilder<unknown>): Promise<Subnet[]> => {
  const { rows } = await sql<Subnet>`${SELECT} ${rest}`.execute(tx);
  return rows;
};

export async function getSubnet(tx: Tx, subnetId: string): Promise<Subnet | undefined> {
  return (await select(tx, sql`WHERE s.subnet_id = ${subnetId}`))[0];
}

/** The subnet, and nobody else picks addresses from it (C9), changes or deletes it until the transaction ends. */
export async function lockSubnet(tx: Tx, subnetId: string): Promise<Subnet | undefined> {
  return (await select(tx, sql`WHERE s.subnet_id = ${subnetId} FOR UPDATE OF s`))[0];
}

/** Those of a VPC that share an address with `cidr`. Exact only while the VPC is locked. */
export function overlappingSubnets(tx: Tx, vpcId: string, cidr: string): Promise<Subnet[]> {
  return select(tx, sql`WHERE s.vpc_id = ${vpcId} AND s.cidr_block && ${cidr}::cidr ORDER BY s.cidr_block`);
}

export function subnetsOfVpc(tx: Tx, vpcId: string): Promise<Subnet[]> {
  return select(tx, sql`WHERE s.vpc_id = ${vpcId} ORDER BY s.subnet_id`);
}

/** How many a VPC has. Exact only while the VPC is locked. */
export async function subnetCount(tx: Tx, vpcId: string): Promise<bigint> {
  const { rows } = await sql<{ count: bigint }>`SELECT count(*) AS count FROM subnet WHERE vpc_id = ${vpcId}`.execute(tx);
  return rows[0]?.count ?? 0n;
}

export interface NewSubnet {
  readonly subnetId: string;
  readonly vpcId: string;
  readonly ownerAccount: string;
  readonly createdBy: string;
  readonly name: string;
  readonly cidrBlock: string;
  readonly zoneId: string;
}

export async function insertSubnet(tx: Tx, subnet: NewSubnet): Promise<Subnet> {
  await sql`
    INSERT INTO subnet (subnet_id, vpc_id, owner_account, payer_account, created_by, name, cidr_block, zone_id)
    VALUES (${subnet.subnetId}, ${subnet.vpcId}, ${subnet.ownerAccount}, ${subnet.ownerAccount}, ${subnet.createdBy}, ${subnet.name},
            ${subnet.cidrBlock}::cidr, ${subnet.zoneId})`.execute(tx);
  const row = await getSubnet(tx, subnet.subnetId);
  if (row === undefined) throw new Error("a subnet that was just inserted is not there");
  return row;
}

/** Write the name of a locked subnet. */
export async function renameSubnet(tx: Tx, subnetId: string, name: string): Promise<void> {
  await sql`UPDATE subnet SET name = ${name}, version = version + 1 WHERE subnet_id = ${subnetId}`.execute(tx);
}

export async function deleteSubnet(tx: Tx, subnetId: string): Promise<void> {
  await sql`DELETE FROM subnet WHERE subnet_id = ${subnetId}`.execute(tx);
}

export interface SubnetFilter {
  /** Only of this account; undefined: of all. */
  readonly ownerAccount: string | undefined;
  /** Only of this VPC; empty: of all. */
  readonly vpcId: string;
  /** Ids greater than this. */
  readonly after: string;
  readonly limit: number;
}

/** In order of id. */
export function listSubnets(tx: Tx, filter: SubnetFilter): Promise<Subnet[]> {
  const owner = filter.ownerAccount === undefined ? sql`true` : sql`s.owner_account = ${filter.ownerAccount}`;
  const vpc = filter.vpcId === "" ? sql`true` : sql`s.vpc_id = ${filter.vpcId}`;
  return select(tx, sql`WHERE ${owner} AND ${vpc} AND s.subnet_id > ${filter.after} ORDER BY s.subnet_id LIMIT ${filter.limit}`);
}
