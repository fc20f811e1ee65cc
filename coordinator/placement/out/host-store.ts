import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import type { Tx } from "../../call/api.ts";
import { HEARD_SINCE, LEASE } from "./service-store.ts";
import { CARRIES } from "./substrate-store.ts";

/** Whether a row of `host` counts as connected, by the database's clock (C8). */
const CONNECTED = sql<boolean>`(connected AND last_seen > now() - ${LEASE})`;

/** When its lease ends: a lease after its last word, or after somebody could hear it again. Null: it never connected. */
const LEASE_END = sql<Date | null>`(CASE WHEN last_seen IS NOT NULL THEN greatest(last_seen, ${HEARD_SINCE}) + ${LEASE} END)`;
/** One that is barred can say nothing: its lease ended with that. */
const SILENT = sql<boolean>`(bar_time IS NOT NULL OR coalesce(${LEASE_END} <= now(), true))`;

/** A row of `host`, with what follows from others. */
export interface HostRow {
  readonly host_id: string;
  readonly name: string;
  readonly zone_id: string;
  readonly substrate_address: string;
  readonly connected: boolean;
  /** Its lease is over. */
  readonly silent: boolean;
  /** `bar_time` is set. */
  readonly barred: boolean;
  readonly session_epoch: bigint;
  readonly last_seen: Date | null;
  readonly lease_end: Date | null;
  readonly applied_version: bigint;
  readonly create_time: Date;
  /** What it says of its substrate device and its tunnel; null: nothing. */
  readonly device_ready: boolean | null;
  readonly tunnel_ready: boolean | null;
  readonly substrate_message: string;
  readonly substrate_time: Date | null;
  /** It may be given new instances. */
  readonly schedulable: boolean;
  /** What it can carry; null: it did not say. */
  readonly max_instances: number | null;
  readonly max_attachments: number | null;
  /** Since when an operator has it barred, and why; null, and empty: it is not. */
  readonly bar_time: Date | null;
  readonly bar_reason: string;
}

export const HOST_COLUMNS = sql`
  host_id, name, zone_id, host(substrate_address) AS substrate_address, ${CONNECTED} AS connected,
  ${SILENT} AS silent, bar_time IS NOT NULL AS barred, session_epoch, last_seen, ${LEASE_END} AS lease_end,
  applied_version, create_time, device_ready, tunnel_ready, substrate_message, substrate_time, schedulable, max_instances, max_attachments,
  bar_time, bar_reason`;

/** Hosts by id, as they are now. Unknown ones are left out. */
export async function readHosts(db: Kysely<unknown>, ids: readonly string[]): Promise<ReadonlyMap<string, HostRow>> {
  if (ids.length === 0) return new Map();
  const { rows } = await sql<HostRow>`SELECT ${HOST_COLUMNS} FROM host WHERE host_id = ANY(${ids}::text[])`.execute(db);
  return new Map(rows.map((row) => [row.host_id, row]));
}

/** What every reader of a host wants of its row. */
export type HostColumns = Pick<
  HostRow,
  | "host_id"
  | "zone_id"
  | "substrate_address"
  | "connected"
  | "silent"
  | "barred"
  | "last_seen"
  | "lease_end"
  | "device_ready"
  | "tunnel_ready"
>;

/** The same as part of a larger statement: one value, for {@link hostsInJson}. `ids`: SQL of a text[]. */
export const readHostsAsJson = (ids: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  SELECT jsonb_agg(jsonb_build_object(
    'host_id', host_id, 'zone_id', zone_id, 'substrate_address', host(substrate_address), 'connected', ${CONNECTED}, 'silent', ${SILENT},
    'barred', bar_time IS NOT NULL, 'last_seen', last_seen, 'lease_end', ${LEASE_END}, 'device_ready', device_ready, 'tunnel_ready', tunnel_ready))
  FROM host WHERE host_id = ANY(${ids})`;

/** Times are text there. */
export function hostsInJson(answer: unknown): HostColumns[] {
  const time = (text: Date | string | null): Date | null => (text === null ? null : new Date(text));
  return ((answer ?? []) as HostColumns[]).map((row) => ({ ...row, last_seen: time(row.last_seen), lease_end: time(row.lease_end) }));
}

/**
 * Those of the hosts that are silent, held so until the transaction ends: a session of theirs opens before or after it, never within.
 * One that somebody is writing at this moment may be speaking, so it is passed over; nothing is waited for, whatever else is locked.
 */
export async function holdSilent(tx: Tx, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await sql<{ host_id: string }>`
    SELECT host_id FROM host WHERE host_id = ANY(${ids}::text[]) AND ${SILENT} FOR SHARE SKIP LOCKED`.execute(tx);
  return new Set(rows.map((row) => row.host_id));
}

/** One page, in order of id. */
export async function listHosts(db: Kysely<unknown>, query: { zoneId: string; after: string; limit: number }): Promise<HostRow[]> {
  const zone = query.zoneId === "" ? sql`true` : sql`zone_id = ${query.zoneId}`;
  const { rows } = await sql<HostRow>`
    SELECT ${HOST_COLUMNS} FROM host WHERE host_id > ${query.after} AND ${zone} ORDER BY host_id LIMIT ${query.limit}`.execute(db);
  return rows;
}

/** What only whoever looks at hosts wants: instances, wanted version, drops. */
export interface HostDetails {
  readonly instances: number;
  readonly wanted: bigint;
  readonly drops: Readonly<Record<string, string>>;
}

export async function hostDetails(db: Kysely<unknown>, ids: readonly string[]): Promise<ReadonlyMap<string, HostDetails>> {
  const { rows } = await sql<{ host_id: string; instances: number; wanted: bigint; drops: Record<string, string> }>`
    SELECT host_id,
      (SELECT count(*)::int FROM instance i WHERE i.host_id = h.host_id) AS instances,
      coalesce((SELECT version FROM scope WHERE scope = 'host:' || h.host_id), 0) AS wanted,
      coalesce((SELECT jsonb_object_agg(reason, packets::text)
                FROM (SELECT reason, sum(packets) AS packets FROM host_drop d WHERE d.host_id = h.host_id GROUP BY reason) AS sums), '{}') AS drops
    FROM unnest(${ids}::text[]) AS h (host_id)`.execute(db);
  return new Map(rows.map((row) => [row.host_id, row]));
}

/** Let a host be given new instances, or no more. Answers it as it is then; undefined: there is none. */
export async function setSchedulable(tx: Tx, hostId: string, schedulable: boolean): Promise<HostRow | undefined> {
  const { rows } = await sql<HostRow>`
    UPDATE host SET schedulable = ${schedulable} WHERE host_id = ${hostId} RETURNING ${HOST_COLUMNS}`.execute(tx);
  return rows[0];
}

/** A connected host. */
export interface FreeHost {
  readonly hostId: string;
  readonly zoneId: string;
  readonly substrateAddress: string;
  readonly instances: number;
  /** It does not say that it cannot carry packets to others. */
  readonly carries: boolean;
  readonly schedulable: boolean;
  readonly full: boolean;
  /** Null: it did not say. */
  readonly maxInstances: number | null;
  readonly maxAttachments: number | null;
}

/** All that are connected. Whether one is full is found out where it matters (`host-room`). */
export async function connectedHosts(tx: Tx): Promise<FreeHost[]> {
  const { rows } = await sql<FreeHost>`
    SELECT h.host_id AS "hostId", h.zone_id AS "zoneId", host(h.substrate_address) AS "substrateAddress", count(i.instance_id)::int AS instances,
           ${CARRIES} AS carries, h.schedulable, false AS full, h.max_instances AS "maxInstances", h.max_attachments AS "maxAttachments"
    FROM host h LEFT JOIN instance i ON i.host_id = h.host_id
    WHERE ${CONNECTED} GROUP BY h.host_id`.execute(tx);
  return rows;
}

/** Numbered drops of the host itself, counted since its counter was made: `epoch` names that. */
export interface HostDrops {
  readonly reason: string;
  readonly epoch: bigint;
  readonly packets: bigint;
}

/** Take drops of the host itself: the largest of each epoch (C22). */
export async function addHostDrops(tx: Tx, hostId: string, drops: readonly HostDrops[]): Promise<void> {
  if (drops.length === 0) return;
  await sql`
    INSERT INTO host_drop (host_id, reason, epoch, packets)
    SELECT ${hostId}, reason, epoch, max(packets)
    FROM unnest(${drops.map((d) => d.reason)}::text[], ${drops.map((d) => d.epoch)}::bigint[], ${drops.map((d) => d.packets)}::bigint[]) AS t (reason, epoch, packets)
    GROUP BY reason, epoch ORDER BY reason, epoch
    ON CONFLICT (host_id, reason, epoch) DO UPDATE SET packets = excluded.packets WHERE host_drop.packets < excluded.packets`.execute(tx);
}
