import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import { InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import { tellWatchers } from "../../call/api.ts";
import type { Tx, WriteCall } from "../../call/api.ts";
import { countPart } from "../../identity/api.ts";
import { jsonRows } from "./rows.ts";
import type { InterfaceRow } from "./rows.ts";

/** What a new record is made of; the rest is the table's. */
export type NewInterface = Omit<InterfaceRow, "generation" | "row_version" | "create_time" | "disabled">;

/** Those who watch the owners look at the records again. */
const told = (call: WriteCall, rows: readonly Pick<InterfaceRow, "interface_id" | "owner_account">[]): void =>
  tellWatchers(
    call,
    rows.map((row) => ({ accountId: row.owner_account, resourceId: row.interface_id })),
  );

/**
 * Count records by owner, in one order of owners for everybody, after attachments are locked. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED): above an
 * owner's quota.
 */
export async function countInterfaces(
  tx: Tx,
  rows: readonly Pick<InterfaceRow, "owner_account" | "interface_id">[],
  sign: 1 | -1,
): Promise<void> {
  const owners = [...Map.groupBy(rows, (row) => row.owner_account)].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [owner, own] of owners) await countPart(tx, owner, "interfaces", sign * own.length, own[0]?.interface_id ?? "");
}

/** Insert records with their addresses: one statement for any number. They are counted later (`countInterfaces`). */
export async function insertInterfaces(call: WriteCall, rows: readonly NewInterface[]): Promise<void> {
  await sql`
    WITH given AS (
      SELECT * FROM jsonb_to_recordset(${jsonRows(rows)}::jsonb) AS t (
        interface_id text, owner_account text, payer_account text, created_by text, vpc_id text, subnet_id text, zone_id text,
        network_id bigint, vni bigint, addresses text[], gateway text, security_group_ids text[], group_set_id bigint,
        description text, tags jsonb, source_dest_check boolean, dns_servers text[], name text)
    ), made AS (
      INSERT INTO interface (interface_id, owner_account, payer_account, created_by, vpc_id, subnet_id, zone_id, network_id, vni,
                             addresses, gateway, security_group_ids, group_set_id, description, tags, source_dest_check, dns_servers, name)
      SELECT interface_id, owner_account, payer_account, created_by, vpc_id, subnet_id, zone_id, network_id, vni,
             addresses, gateway, security_group_ids, group_set_id, description, tags, source_dest_check, dns_servers, name
      FROM given
    )
    INSERT INTO interface_address (interface_id, subnet_id, address)
    SELECT interface_id, subnet_id, host(address::inet)::inet FROM given, unnest(addresses) AS address`.execute(call.tx);
  told(call, rows);
}

/** Records by id, locked against every other writer, in the order of their ids. Unknown ids are left out. */
export async function lockInterfaces(tx: Tx, ids: readonly string[]): Promise<ReadonlyMap<string, InterfaceRow>> {
  const { rows } = await sql<InterfaceRow>`
    SELECT * FROM interface WHERE interface_id = ANY(${ids}::text[]) ORDER BY interface_id FOR UPDATE`.execute(tx);
  return new Map(rows.map((row) => [row.interface_id, row]));
}

/** Records by id. Unknown ids are left out. */
export async function readInterfaces(tx: Tx, ids: readonly string[]): Promise<ReadonlyMap<string, InterfaceRow>> {
  const { rows } = await sql<InterfaceRow>`SELECT * FROM interface WHERE interface_id = ANY(${ids}::text[])`.execute(tx);
  return new Map(rows.map((row) => [row.interface_id, row]));
}

/** Which records somebody is shown; undefined or empty: any. */
export interface Shown {
  /** Only what this account may see: its own and those that grants name. Undefined: all (operator). */
  readonly visibleTo: { readonly accountId: string; readonly granted: readonly string[] } | undefined;
  readonly ownerAccount: string;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly instanceId: string;
  /** Canonical text. */
  readonly address: string;
  readonly securityGroupId: string;
  readonly tagKey: string;
  /** Undefined: any value of `tagKey`. */
  readonly tagValue: string | undefined;
  /** UNSPECIFIED: any. */
  readonly state: InterfaceState;
  /** Hosts that count as silent. Only for IN_USE and IN_REPAIR. */
  readonly silentHosts: readonly string[];
}

/** What to list. */
export interface InterfaceQuery extends Shown {
  /** Ids above this one. */
  readonly after: string;
  readonly limit: number;
}

/** As core/record-state has it. */
function inState(state: InterfaceState, silentHosts: readonly string[]): RawBuilder<unknown> {
  if (state === InterfaceState.DISABLED) return sql`disabled`;
  const attached = (more: RawBuilder<unknown>) =>
    sql`EXISTS (SELECT FROM attachment a WHERE a.interface_id = interface.interface_id AND a.state <> 4 ${more})`;
  if (state === InterfaceState.AVAILABLE) return sql`(NOT disabled AND NOT ${attached(sql``)})`;
  const IN_TROUBLE = sql`AND a.host_id IS NOT NULL
    AND (a.host_id = ANY(${silentHosts}::text[]) OR (a.applied_generation = a.generation AND a.applied_state = ${AppliedState.FAILED}))`;
  if (state === InterfaceState.IN_REPAIR) return sql`(NOT disabled AND ${attached(IN_TROUBLE)})`;
  return sql`(NOT disabled AND ${attached(sql``)} AND NOT ${attached(IN_TROUBLE)})`;
}

function showing(query: Shown): RawBuilder<unknown> {
  const conditions = [lastingly(query)];
  if (query.visibleTo !== undefined) {
    const { accountId, granted } = query.visibleTo;
    conditions.push(sql`(owner_account = ${accountId} OR interface_id = ANY(${granted}::text[]))`);
  }
  if (query.instanceId !== "") {
    conditions.push(sql`interface_id IN (SELECT interface_id FROM attachment WHERE instance_id = ${query.instanceId} AND state <> 4)`);
  }
  if (query.address !== "")
    conditions.push(sql`interface_id IN (SELECT interface_id FROM interface_address WHERE address = ${query.address}::inet)`);
  if (query.securityGroupId !== "") conditions.push(sql`security_group_ids @> ARRAY[${query.securityGroupId}]::text[]`);
  if (query.tagKey !== "")
    conditions.push(query.tagValue === undefined ? sql`tags ? ${query.tagKey}` : sql`tags ->> ${query.tagKey} = ${query.tagValue}`);
  if (query.state !== InterfaceState.UNSPECIFIED) conditions.push(inState(query.state, query.silentHosts));
  return sql.join(conditions, sql` AND `);
}

/** The part of it that never changes of a record. */
function lastingly(query: Pick<Shown, "ownerAccount" | "vpcId" | "subnetId">): RawBuilder<unknown> {
  const conditions = [sql`true`];
  if (query.ownerAccount !== "") conditions.push(sql`owner_account = ${query.ownerAccount}`);
  if (query.vpcId !== "") conditions.push(sql`vpc_id = ${query.vpcId}`);
  if (query.subnetId !== "") conditions.push(sql`subnet_id = ${query.subnetId}`);
  return sql.join(conditions, sql` AND `);
}

/** One page, in order of id. */
export async function listInterfaces(tx: Tx, query: InterfaceQuery): Promise<InterfaceRow[]> {
  const { rows } = await sql<InterfaceRow>`
    SELECT * FROM interface WHERE interface_id > ${query.after} AND ${showing(query)} ORDER BY interface_id LIMIT ${query.limit}`.execute(
    tx,
  );
  return rows;
}

/** Those of these records that are shown, in order of id. */
export async function shownInterfaces(tx: Tx, ids: readonly string[], shown: Shown): Promise<InterfaceRow[]> {
  const { rows } = await sql<InterfaceRow>`
    SELECT * FROM interface WHERE interface_id = ANY(${ids}::text[]) AND ${showing(shown)} ORDER BY interface_id`.execute(tx);
  return rows;
}

/** Records that are shown, or would be in another state, and that one of these hosts carries. */
export async function shownOnHosts(tx: Tx, hostIds: readonly string[], shown: Shown): Promise<string[]> {
  const { rows } = await sql<{ interface_id: string }>`
    SELECT interface_id FROM interface WHERE ${showing({ ...shown, state: InterfaceState.UNSPECIFIED })} AND interface_id IN (
      SELECT interface_id FROM attachment WHERE host_id = ANY(${hostIds}::text[]) AND state <> 4) ORDER BY interface_id`.execute(tx);
  return rows.map((row) => row.interface_id);
}

/** Those of these records that are there and that the filter never showed to anybody. */
export async function neverShown(tx: Tx, ids: readonly string[], shown: Shown): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await sql<{ interface_id: string }>`
    SELECT interface_id FROM interface WHERE interface_id = ANY(${ids}::text[]) AND NOT (${lastingly(shown)})`.execute(tx);
  return new Set(rows.map((row) => row.interface_id));
}

/** Owners of these records, in order, at most `limit` of them. */
export async function ownersOf(tx: Tx, ids: readonly string[], limit: number): Promise<string[]> {
  const { rows } = await sql<{ owner_account: string }>`
    SELECT DISTINCT owner_account FROM interface WHERE interface_id = ANY(${ids}::text[]) ORDER BY owner_account LIMIT ${limit}`.execute(
    tx,
  );
  return rows.map((row) => row.owner_account);
}

/** Fields that an update may write. */
export type InterfaceChange = Partial<
  Pick<
    InterfaceRow,
    "description" | "tags" | "security_group_ids" | "group_set_id" | "source_dest_check" | "addresses" | "dns_servers" | "disabled" | "name"
  >
>;

/** Write the fields given; generation and row version rise by one. The row is locked by the caller. */
export async function updateInterface(
  call: WriteCall,
  row: Pick<InterfaceRow, "interface_id" | "owner_account">,
  change: InterfaceChange,
): Promise<void> {
  const sets = [sql`generation = generation + 1`, sql`row_version = row_version + 1`];
  if (change.description !== undefined) sets.push(sql`description = ${change.description}`);
  if (change.tags !== undefined) sets.push(sql`tags = ${JSON.stringify(change.tags)}::jsonb`);
  if (change.security_group_ids !== undefined) sets.push(sql`security_group_ids = ${change.security_group_ids}::text[]`);
  if (change.group_set_id !== undefined) sets.push(sql`group_set_id = ${change.group_set_id}`);
  if (change.source_dest_check !== undefined) sets.push(sql`source_dest_check = ${change.source_dest_check}`);
  if (change.addresses !== undefined) sets.push(sql`addresses = ${change.addresses}::text[]`);
  if (change.dns_servers !== undefined) sets.push(sql`dns_servers = ${change.dns_servers}::text[]`);
  if (change.name !== undefined) sets.push(sql`name = ${change.name}`);
  if (change.disabled !== undefined) sets.push(sql`disabled = ${change.disabled}`);
  await sql`UPDATE interface SET ${sql.join(sets)} WHERE interface_id = ${row.interface_id}`.execute(call.tx);
  told(call, [row]);
}

/** Delete records and what was counted for them. Nothing may be attached: the caller saw to it under their locks. */
export async function deleteInterfaces(call: WriteCall, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const { rows } = await sql<Pick<InterfaceRow, "interface_id" | "owner_account">>`
    DELETE FROM interface WHERE interface_id = ANY(${ids}::text[]) RETURNING interface_id, owner_account`.execute(call.tx);
  told(call, rows);
  await countInterfaces(call.tx, rows, -1);
}

/** Records that make a subnet, a VPC or a group undeletable: up to `limit` of them, and how many there are. */
export async function interfacesOf(
  tx: Tx,
  of: { kind: "subnet" | "vpc" | "security_group"; id: string },
  limit: number,
): Promise<{ rows: { interface_id: string; owner_account: string }[]; count: number }> {
  const where =
    of.kind === "subnet"
      ? sql`subnet_id = ${of.id}`
      : of.kind === "vpc"
        ? sql`vpc_id = ${of.id}`
        : sql`security_group_ids @> ARRAY[${of.id}]::text[]`;
  const { rows } = await sql<{ interface_id: string; owner_account: string; count: bigint }>`
    SELECT interface_id, owner_account, count(*) OVER () AS count FROM interface WHERE ${where} ORDER BY interface_id LIMIT ${limit}`.execute(
    tx,
  );
  return { rows, count: Number(rows[0]?.count ?? 0n) };
}

/** Zones that these records demand of whatever carries them; unknown ids are left out. */
export async function interfaceZones(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ zone_id: string }>`
    SELECT DISTINCT zone_id FROM interface WHERE interface_id = ANY(${ids}::text[]) AND zone_id <> ''`.execute(tx);
  return rows.map((row) => row.zone_id);
}
