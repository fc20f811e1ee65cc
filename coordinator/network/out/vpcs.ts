import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";
import type { Vpc } from "../core/model.ts";
import { unlessExhausted } from "./exhausted.ts";

const COLUMNS = sql`
  vpc_id AS "vpcId", owner_account AS "ownerAccount", name, cidr_block::text AS "cidrBlock", network_id AS "networkId", vni,
  default_security_group_id AS "defaultSecurityGroupId", tags, version, create_time AS "createTime",
  created_by AS "createdBy"`;

export async function getVpc(tx: Tx, vpcId: string): Promise<Vpc | undefined> {
  const { rows } = await sql<Vpc>`SELECT ${COLUMNS} FROM vpc WHERE vpc_id = ${vpcId}`.execute(tx);
  return rows[0];
}

/** The VPC, and nobody else adds to it, changes or deletes it until the transaction ends. */
export async function lockVpc(tx: Tx, vpcId: string): Promise<Vpc | undefined> {
  const { rows } = await sql<Vpc>`SELECT ${COLUMNS} FROM vpc WHERE vpc_id = ${vpcId} FOR UPDATE`.execute(tx);
  return rows[0];
}

export type NewVpc = Omit<Vpc, "networkId" | "vni" | "version" | "createTime">;

/** Store a VPC with the next network id and VNI. RESOURCE_EXHAUSTED when every VNI was given out. */
export async function insertVpc(tx: Tx, vpc: NewVpc): Promise<Vpc> {
  const { rows } = await unlessExhausted("VXLAN network identifiers", () =>
    sql<Vpc>`
    INSERT INTO vpc (vpc_id, owner_account, payer_account, created_by, name, cidr_block, network_id, vni, default_security_group_id, tags)
    VALUES (${vpc.vpcId}, ${vpc.ownerAccount}, ${vpc.ownerAccount}, ${vpc.createdBy}, ${vpc.name}, ${vpc.cidrBlock}::cidr,
            nextval('network_id'), nextval('vni'), ${vpc.defaultSecurityGroupId}, ${JSON.stringify(vpc.tags)}::jsonb)
    RETURNING ${COLUMNS}`.execute(tx),
  );
  const row = rows[0];
  if (row === undefined) throw new Error("an insert returned nothing");
  return row;
}

/** Write name and tags of a locked VPC. */
export async function updateVpc(tx: Tx, { vpcId, name, tags }: Pick<Vpc, "vpcId" | "name" | "tags">): Promise<Vpc> {
  const { rows } = await sql<Vpc>`
    UPDATE vpc SET name = ${name}, tags = ${JSON.stringify(tags)}::jsonb, version = version + 1 WHERE vpc_id = ${vpcId}
    RETURNING ${COLUMNS}`.execute(tx);
  const row = rows[0];
  if (row === undefined) throw new Error(`the locked VPC ${vpcId} is gone`);
  return row;
}

export async function deleteVpc(tx: Tx, vpcId: string): Promise<void> {
  await sql`DELETE FROM vpc WHERE vpc_id = ${vpcId}`.execute(tx);
}

export interface VpcFilter {
  /** Only of this account; undefined: of all. */
  readonly ownerAccount: string | undefined;
  /** Ids greater than this. */
  readonly after: string;
  readonly limit: number;
}

/** In order of id. */
export async function listVpcs(tx: Tx, filter: VpcFilter): Promise<Vpc[]> {
  const owner = filter.ownerAccount === undefined ? sql`true` : sql`owner_account = ${filter.ownerAccount}`;
  const { rows } = await sql<Vpc>`
    SELECT ${COLUMNS} FROM vpc WHERE ${owner} AND vpc_id > ${filter.after} ORDER BY vpc_id LIMIT ${filter.limit}`.execute(tx);
  return rows;
}
