import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import { deleteInBatches } from "#lib/db/delete-in-batches.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { tellWatchers } from "../../call/api.ts";
import type { Tx, WriteCall } from "../../call/api.ts";
import type { Standing } from "../core/attachment-state.ts";
import type { Reader } from "../ports.ts";
import { jsonRows } from "./rows.ts";
import type { AttachmentRow } from "./rows.ts";

/** What a new attachment is made of; the rest is the table's. */
export type NewAttachment = Pick<
  AttachmentRow,
  | "attachment_id"
  | "interface_id"
  | "interface_owner"
  | "instance_id"
  | "instance_owner"
  | "attachment_owner"
  | "created_by"
  | "device_index"
  | "delete_on_terminate"
  | "host_id"
  | "network_id"
  | "vni"
  | "addresses"
  | "gateway"
  | "group_set_id"
  | "ruleset_id"
  | "source_dest_check"
  | "dns_servers"
>;

/** Those who watch the records' owners look at them again. */
export const told = (call: Pick<WriteCall, "change">, rows: readonly Pick<AttachmentRow, "interface_id" | "interface_owner">[]): void =>
  tellWatchers(
    call,
    rows.map((row) => ({ accountId: row.interface_owner, resourceId: row.interface_id })),
  );

/**
 * Insert attachments, take their addresses and make the meters of those that are placed: one statement for any number. What another
 * attachment holds (interface, device index or address) is left out, so fewer rows or addresses than asked mean a conflict; a
 * transaction that is about to commit such a holder is waited for.
 */
export async function insertAttachments(
  call: WriteCall,
  rows: readonly NewAttachment[],
): Promise<{ made: AttachmentRow[]; addresses: number }> {
  const { rows: made } = await sql<AttachmentRow & { taken: bigint }>`
    WITH given AS (
      SELECT * FROM jsonb_to_recordset(${jsonRows(rows)}::jsonb) AS t (
        attachment_id text, interface_id text, interface_owner text, instance_id text, instance_owner text, attachment_owner text,
        created_by text, device_index int, delete_on_terminate boolean, host_id text, network_id bigint, vni bigint, addresses text[], gateway text,
        group_set_id bigint, ruleset_id bigint, source_dest_check boolean, dns_servers text[])
    ), made AS (
      INSERT INTO attachment (attachment_id, interface_id, interface_owner, instance_id, instance_owner, attachment_owner, created_by,
                              device_index, delete_on_terminate, state, wanted, host_id, network_id, vni, addresses, gateway, group_set_id, ruleset_id,
                              source_dest_check, dns_servers)
      SELECT attachment_id, interface_id, interface_owner, instance_id, instance_owner, attachment_owner, created_by, device_index,
             delete_on_terminate, 1, 1, host_id, network_id, vni, addresses, gateway, group_set_id, ruleset_id, source_dest_check,
             dns_servers
      FROM given ORDER BY interface_id
      ON CONFLICT DO NOTHING
      RETURNING *
    ), taken AS (
      INSERT INTO attachment_address (network_id, address, attachment_id)
      SELECT network_id, host(address::inet)::inet, attachment_id FROM made, unnest(addresses) AS address ORDER BY 1, 2
      ON CONFLICT DO NOTHING
      RETURNING 1
    ), metered AS (
      INSERT INTO meter (meter_id, attachment_id, interface_id, host_id, wire_id)
      SELECT meter_id, attachment_id, interface_id, host_id, wire_id FROM made WHERE host_id IS NOT NULL
    )
    SELECT made.*, (SELECT count(*) FROM taken) AS taken FROM made`.execute(call.tx);
  told(call, made);
  return { made, addresses: Number(made[0]?.taken ?? 0n) };
}

/** Take what of these attachments' addresses nobody holds; how many that were. */
export async function takeAddresses(tx: Tx, rows: readonly AttachmentRow[]): Promise<number> {
  const given = rows.flatMap(({ network_id, attachment_id, addresses }) =>
    addresses.map((address) => ({ network_id, attachment_id, address })),
  );
  const { rows: taken } = await sql`
    INSERT INTO attachment_address (network_id, address, attachment_id)
    SELECT network_id, host(address::inet)::inet, attachment_id
    FROM jsonb_to_recordset(${jsonRows(given)}::jsonb) AS t (network_id bigint, address text, attachment_id text) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
    RETURNING 1`.execute(tx);
  return taken.length;
}

/**
 * An attachment is to have these addresses (without prefix length) and no others: it takes them, and holds the old ones until its host
 * has applied `generation`. False: another attachment holds one of them.
 */
export async function exchangeAddresses(tx: Tx, row: AttachmentRow, addresses: readonly string[], generation: bigint): Promise<boolean> {
  await sql`
    UPDATE attachment_address SET until_generation = ${generation}
    WHERE attachment_id = ${row.attachment_id} AND until_generation IS NULL AND NOT host(address) = ANY(${addresses}::text[])`.execute(tx);
  const { rows } = await sql`
    INSERT INTO attachment_address AS h (network_id, address, attachment_id)
    SELECT ${row.network_id}::bigint, address::inet, ${row.attachment_id} FROM unnest(${addresses}::text[]) AS address ORDER BY 2
    ON CONFLICT (network_id, address) DO UPDATE SET until_generation = NULL WHERE h.attachment_id = excluded.attachment_id
    RETURNING 1`.execute(tx);
  return rows.length === addresses.length;
}

/** Which attachments to read. */
export interface AttachmentQuery {
  readonly attachmentIds?: readonly string[];
  readonly interfaceIds?: readonly string[];
  readonly instanceIds?: readonly string[];
  readonly groupSetIds?: readonly number[];
  /** Those that are over, too. Default: left out. */
  readonly over?: boolean;
}

function where(query: AttachmentQuery): RawBuilder<unknown> {
  const conditions: RawBuilder<unknown>[] = query.over === true ? [] : [sql`state <> 4`];
  if (query.attachmentIds !== undefined) conditions.push(sql`attachment_id = ANY(${query.attachmentIds}::text[])`);
  if (query.interfaceIds !== undefined) conditions.push(sql`interface_id = ANY(${query.interfaceIds}::text[])`);
  if (query.instanceIds !== undefined) conditions.push(sql`instance_id = ANY(${query.instanceIds}::text[])`);
  if (query.groupSetIds !== undefined) conditions.push(sql`group_set_id = ANY(${query.groupSetIds}::bigint[])`);
  if (conditions.length === 0) throw new Error("a query for all attachments is a mistake");
  return sql.join(conditions, sql` AND `);
}

/** What already holds one of these interfaces or a device of these instances. */
export async function readHolders(tx: Reader, interfaceIds: readonly string[], instanceIds: readonly string[]): Promise<AttachmentRow[]> {
  const { rows } = await sql<AttachmentRow>`
    SELECT * FROM attachment
    WHERE state <> 4 AND (interface_id = ANY(${interfaceIds}::text[]) OR instance_id = ANY(${instanceIds}::text[]))`.execute(tx);
  return rows;
}

/** In order of instance and device. */
export async function readAttachments(tx: Reader, query: AttachmentQuery): Promise<AttachmentRow[]> {
  const { rows } = await sql<AttachmentRow>`SELECT * FROM attachment WHERE ${where(query)} ORDER BY instance_id, device_index`.execute(tx);
  return rows;
}

/** The same, locked in the order of their ids. Lock their instances before (order of locks: instance, interface, attachment, the owner's count of interfaces). */
export async function lockAttachments(tx: Tx, query: AttachmentQuery): Promise<AttachmentRow[]> {
  const { rows } = await sql<AttachmentRow>`SELECT * FROM attachment WHERE ${where(query)} ORDER BY attachment_id FOR UPDATE`.execute(tx);
  return rows;
}

/**
 * Lock the records that are deleted when the host has let go of these attachments, or with their instance at once. Before the attachments:
 * whoever changes a record comes from it to its attachment. Their instances are locked by the caller.
 */
export async function lockOwed(tx: Tx, query: AttachmentQuery): Promise<void> {
  await sql`
    SELECT FROM interface WHERE interface_id IN (
      SELECT interface_id FROM attachment WHERE ${where(query)} AND (delete_when_detached OR delete_on_terminate AND host_id IS NULL)
    ) ORDER BY interface_id FOR UPDATE`.execute(tx);
}

/** One attachment's change; what is undefined stays. */
export interface AttachmentChange {
  readonly attachment_id: string;
  readonly next: Standing;
  readonly group_set_id?: bigint | undefined;
  readonly ruleset_id?: bigint | undefined;
  readonly source_dest_check?: boolean | undefined;
  readonly dns_servers?: readonly string[] | undefined;
  readonly disabled?: boolean | undefined;
  /** With prefix length, as the record's. */
  readonly addresses?: readonly string[] | undefined;
  readonly delete_on_terminate?: boolean | undefined;
  /** Who asks for its end; the first one stays. */
  readonly detached_by?: string | undefined;
  readonly delete_when_detached?: boolean | undefined;
  readonly applied?: { readonly generation: bigint; readonly state: number; readonly message: string } | undefined;
  /** It is placed anew: another meter. */
  readonly placed?: boolean | undefined;
  /** Its end is forced: 0, or the network's version to be reached. Never lowered; gone with its host. */
  readonly forced_version?: bigint | undefined;
}

/** Changes as `change_attachments` takes them. */
export function changedRows(changes: readonly AttachmentChange[]): string {
  const given = changes.map(({ next, applied, placed, ...rest }) => ({
    ...rest,
    state: next.state,
    wanted: next.wanted,
    host_id: next.hostId,
    generation: next.generation,
    applied_generation: applied?.generation,
    applied_state: applied?.state,
    applied_message: applied?.message,
    placed: placed ?? false,
  }));
  return jsonRows(given);
}

/** Write changes: one statement for any number, by the function of the migration `0080`. Rows are locked by the caller. */
export async function updateAttachments(call: WriteCall, changes: readonly AttachmentChange[]): Promise<AttachmentRow[]> {
  if (changes.length === 0) return [];
  const { rows } = await sql<AttachmentRow>`
    SELECT * FROM change_attachments(${changedRows(changes)}::jsonb) ORDER BY attachment_id`.execute(call.tx);
  told(call, rows);
  return rows;
}

/** Who holds an address of a network. */
export interface Holder {
  readonly address: string;
  readonly attachment_id: string;
  readonly interface_id: string;
  readonly state: AttachmentState;
  /** It was given other addresses, and its host has not yet said that it gave this one up. */
  readonly leaving: boolean;
}

/** Who holds these addresses of a network now. */
export async function holdersOf(tx: Tx, networkId: bigint, addresses: readonly string[]): Promise<Holder[]> {
  const { rows } = await sql<Holder>`
    SELECT host(h.address) AS address, attachment_id, interface_id, state, h.until_generation IS NOT NULL AS leaving
    FROM attachment_address h JOIN attachment USING (attachment_id)
    WHERE h.network_id = ${networkId} AND h.address = ANY(${addresses}::inet[])`.execute(tx);
  return rows;
}

/** Attachments of a host that it carries or is letting go of: its snapshot (C3), with what is off it by force (residue-store). */
export async function attachmentsOnHost(tx: Reader, hostId: string): Promise<AttachmentRow[]> {
  const { rows } = await sql<AttachmentRow>`
    SELECT * FROM attachment WHERE host_id = ${hostId} AND state <> 4 ORDER BY attachment_id`.execute(tx);
  return rows;
}

/** Hosts that carry attachments or are letting go of some, from one to the next along their index: of each host one entry is read. */
export async function carryingHosts(tx: Reader): Promise<string[]> {
  const next = (after: RawBuilder<unknown>) => sql`
    SELECT host_id FROM attachment WHERE state <> 4 AND host_id > ${after} ORDER BY host_id LIMIT 1`;
  const { rows } = await sql<{ host_id: string }>`
    WITH RECURSIVE carrying (host_id) AS (
      (${next(sql`''`)})
      UNION ALL
      SELECT following.host_id FROM carrying CROSS JOIN LATERAL (${next(sql`carrying.host_id`)}) AS following
    )
    SELECT host_id FROM carrying`.execute(tx);
  return rows.map((row) => row.host_id);
}

/** Attachments whose end on their hosts is forced and still to come. */
export async function forcedAttachments(db: Reader): Promise<{ instance_id: string; network_id: bigint }[]> {
  const { rows } = await sql<{ instance_id: string; network_id: bigint }>`
    SELECT DISTINCT instance_id, network_id FROM attachment WHERE forced_version IS NOT NULL`.execute(db);
  return rows;
}

/** Which of these rulesets an attachment of the host still names. The caller holds the host's scope, so that no answer is too old. */
export async function rulesetsNamedOnHost(tx: Tx, hostId: string, rulesetIds: readonly number[]): Promise<ReadonlySet<number>> {
  const { rows } = await sql<{ ruleset_id: bigint }>`
    SELECT DISTINCT ruleset_id FROM attachment
    WHERE host_id = ${hostId} AND state <> 4 AND ruleset_id = ANY(${rulesetIds}::bigint[])`.execute(tx);
  return new Set(rows.map((row) => Number(row.ruleset_id)));
}

/** Hosts with attachments in a network whose rules name one of these groups, each with those that they name. */
export async function hostsNaming(
  tx: Tx,
  networkId: bigint,
  groupIds: readonly string[],
): Promise<{ hostId: string; groupIds: string[] }[]> {
  const { rows } = await sql<{ hostId: string; groupIds: string[] }>`
    SELECT host_id AS "hostId", array_agg(DISTINCT named) AS "groupIds"
    FROM attachment JOIN ruleset USING (ruleset_id), unnest(peer_groups) AS named
    WHERE network_id = ${networkId} AND state <> 4 AND host_id IS NOT NULL AND named = ANY(${groupIds}::text[])
    GROUP BY host_id ORDER BY host_id`.execute(tx);
  return rows;
}

/** One page of what the caller may see, in order of id. */
export async function listAttachments(
  tx: Tx,
  query: {
    /** Undefined: all (operator). */
    readonly visibleTo: { readonly accountId: string; readonly granted: readonly string[] } | undefined;
    readonly interfaceId: string;
    readonly instanceId: string;
    readonly after: string;
    readonly limit: number;
  },
): Promise<AttachmentRow[]> {
  const conditions = [sql`state <> 4`, sql`attachment_id > ${query.after}`];
  if (query.visibleTo !== undefined) {
    const { accountId, granted } = query.visibleTo;
    conditions.push(sql`(interface_owner = ${accountId} OR instance_owner = ${accountId} OR interface_id = ANY(${granted}::text[]))`);
  }
  if (query.interfaceId !== "") conditions.push(sql`interface_id = ${query.interfaceId}`);
  if (query.instanceId !== "") conditions.push(sql`instance_id = ${query.instanceId}`);
  const { rows } = await sql<AttachmentRow>`
    SELECT * FROM attachment WHERE ${sql.join(conditions, sql` AND `)} ORDER BY attachment_id LIMIT ${query.limit}`.execute(tx);
  return rows;
}

/** Forget attachments that have been over for an hour, but for those that a host has yet to say it let go of. */
export function forgetOldAttachments(db: Kysely<unknown>, signal?: AbortSignal): Promise<void> {
  return deleteInBatches(
    db,
    "attachment",
    sql`state = 4 AND detach_time < now() - interval '1 hour'
      AND NOT EXISTS (SELECT FROM attachment_residue r WHERE r.attachment_id = attachment.attachment_id)`,
    { signal },
  );
}

/** A query for the ids of the instances that these attachments are on, as part of another statement. Unknown ids are left out. */
export function instancesOfAttachments(attachmentIds: readonly string[]): RawBuilder<unknown> {
  return sql`SELECT instance_id FROM attachment WHERE attachment_id = ANY(${attachmentIds}::text[])`;
}

/** An instance's attachments that are not over. */
export interface InstanceAttachments {
  /** In order of device. */
  readonly attachmentIds: readonly string[];
  readonly interfaceIds: readonly string[];
  /** How many a host has not let go of, or is to carry. */
  readonly placed: number;
  /** How many are not ending. */
  readonly lasting: number;
}

export async function standingOfInstances(db: Reader, instanceIds: readonly string[]): Promise<ReadonlyMap<string, InstanceAttachments>> {
  const rows = instanceIds.length === 0 ? [] : await readAttachments(db, { instanceIds });
  const byInstance = Map.groupBy(rows, (row) => row.instance_id);
  return new Map(
    instanceIds.map((id) => {
      const own = byInstance.get(id) ?? [];
      return [
        id,
        {
          attachmentIds: own.map((row) => row.attachment_id),
          interfaceIds: own.map((row) => row.interface_id),
          placed: own.filter((row) => row.host_id !== null).length,
          lasting: own.filter((row) => row.state !== AttachmentState.DETACHING).length,
        },
      ];
    }),
  );
}
