import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import type { InstanceDriver } from "#gen/plenum/compute/v1/instance.ts";
import { deleteInBatches } from "#lib/db/delete-in-batches.ts";
import type { Tx } from "../../call/api.ts";
import type { InstanceStanding } from "../core/instance-state.ts";

/** A row of `instance`. */
export interface InstanceRow {
  readonly instance_id: string;
  readonly owner_account: string;
  readonly created_by: string;
  readonly name: string;
  readonly driver: InstanceDriver;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly zone_id: string;
  readonly fixed_host_id: string | null;
  readonly host_id: string | null;
  readonly state: InstanceState;
  readonly generation: bigint;
  readonly row_version: bigint;
  readonly operation_id: string;
  readonly applied_generation: bigint;
  readonly applied_state: number;
  readonly applied_message: string;
  readonly applied_time: Date | null;
  readonly netns_path: string;
  readonly process_running: boolean;
  readonly create_time: Date;
  readonly state_time: Date;
  /** It stops or ends without the word of its host, which is silent. */
  readonly forced: boolean;
  /** Principal of the owner's account; "": nobody. */
  readonly acts_as: string;
  /** Newest generation for which a token was issued; 0: none. */
  readonly vouched_generation: bigint;
}

export const standing = (row: InstanceRow): InstanceStanding => ({
  state: row.state,
  hostId: row.host_id,
  generation: row.generation,
  appliedGeneration: row.applied_generation,
  appliedState: row.applied_state,
});

export type NewInstance = Pick<
  InstanceRow,
  | "instance_id"
  | "owner_account"
  | "created_by"
  | "name"
  | "driver"
  | "argv"
  | "env"
  | "tags"
  | "zone_id"
  | "fixed_host_id"
  | "host_id"
  | "state"
  | "operation_id"
  | "acts_as"
>;

export async function insertInstance(tx: Tx, row: NewInstance): Promise<InstanceRow> {
  const { rows } = await sql<InstanceRow>`
    INSERT INTO instance (instance_id, owner_account, created_by, name, driver, argv, env, tags, zone_id, fixed_host_id, host_id, state, operation_id,
                          acts_as)
    VALUES (${row.instance_id}, ${row.owner_account}, ${row.created_by}, ${row.name}, ${row.driver}, ${row.argv}::text[],
            ${JSON.stringify(row.env)}::jsonb, ${JSON.stringify(row.tags)}::jsonb, ${row.zone_id}, ${row.fixed_host_id}, ${row.host_id},
            ${row.state}, ${row.operation_id}, ${row.acts_as})
    RETURNING *`.execute(tx);
  const made = rows[0];
  if (made === undefined) throw new Error("an insert returned nothing");
  return made;
}

/** By id, locked in the order of the ids. Unknown ones are left out. `more`: a query for further ids. */
export async function lockInstances(tx: Tx, ids: readonly string[], more?: RawBuilder<unknown>): Promise<ReadonlyMap<string, InstanceRow>> {
  if (ids.length === 0 && more === undefined) return new Map();
  const others = more === undefined ? sql`` : sql` || ARRAY(${more})`;
  const { rows } = await sql<InstanceRow>`
    SELECT * FROM instance WHERE instance_id = ANY(${ids}::text[]${others}) ORDER BY instance_id FOR UPDATE`.execute(tx);
  return new Map(rows.map((row) => [row.instance_id, row]));
}

/** An instance and the host that it is on. */
export interface PlacedInstanceRow extends InstanceRow {
  readonly host_zone: string | null;
  readonly host_address: string | null;
  readonly host_barred: boolean;
}

/**
 * The same with their hosts, mostly in one statement. The hosts' rows are not locked; those that are not barred stay so until the transaction's
 * end, once the instances are locked.
 */
export async function lockPlacedInstances(tx: Tx, ids: readonly string[]): Promise<PlacedInstanceRow[]> {
  const { rows } = await withHosts(tx, ids, sql`FOR UPDATE OF i`);
  // Whose row was waited for is joined, as it is now, with the host that it had before. Now that it is held it can be read again.
  const moved = rows.filter((row) => row.host_id !== null && row.host_zone === null).map((row) => row.instance_id);
  if (moved.length === 0) return rows;
  const again = new Map((await withHosts(tx, moved, sql``)).rows.map((row) => [row.instance_id, row]));
  return rows.map((row) => again.get(row.instance_id) ?? row);
}

// The second part reads all of the first before its one row: the locks of the instances come before those of their hosts.
const withHosts = (tx: Tx, ids: readonly string[], lock: RawBuilder<unknown>) =>
  sql<PlacedInstanceRow>`
    WITH placed AS MATERIALIZED (
      SELECT i.*, h.zone_id AS host_zone, host(h.substrate_address) AS host_address FROM instance i LEFT JOIN host h USING (host_id)
      WHERE instance_id = ANY(${ids}::text[]) ORDER BY instance_id ${lock}
    ), held AS MATERIALIZED (SELECT hold_unbarred(ARRAY(SELECT host_id FROM placed)) AS barred)
    SELECT placed.*, coalesce(placed.host_id = ANY(held.barred), false) AS host_barred FROM held, placed`.execute(tx);

/** Instances that a host carries or has not let go of, some by name, and how many there are. */
export async function placedOn(
  tx: Tx,
  hostId: string,
  limit: number,
): Promise<{ rows: Pick<InstanceRow, "instance_id" | "owner_account">[]; count: number }> {
  const { rows } = await sql<Pick<InstanceRow, "instance_id" | "owner_account"> & { count: number }>`
    SELECT instance_id, owner_account, (count(*) OVER ())::int AS count FROM instance
    WHERE host_id = ${hostId} ORDER BY instance_id LIMIT ${limit}`.execute(tx);
  return { rows, count: rows[0]?.count ?? 0 };
}

export async function readInstance(db: Kysely<unknown>, id: string): Promise<InstanceRow | undefined> {
  const { rows } = await sql<InstanceRow>`SELECT * FROM instance WHERE instance_id = ${id}`.execute(db);
  return rows[0];
}

/** What to list; empty: any. */
export interface InstanceQuery {
  /** Only this account's; undefined: all (operator). */
  readonly visibleTo: string | undefined;
  readonly ownerAccount: string;
  readonly hostId: string;
  /** UNSPECIFIED: any. */
  readonly state: InstanceState;
  readonly zoneId: string;
  readonly name: string;
  /** Ids above this one. */
  readonly after: string;
  readonly limit: number;
}

/** One page, in order of id, without those that ended more than an hour ago. */
export async function listInstances(db: Kysely<unknown>, query: InstanceQuery): Promise<InstanceRow[]> {
  const conditions = [sql`instance_id > ${query.after}`, sql`(state <> 6 OR state_time > now() - interval '1 hour')`];
  if (query.visibleTo !== undefined) conditions.push(sql`owner_account = ${query.visibleTo}`);
  if (query.ownerAccount !== "") conditions.push(sql`owner_account = ${query.ownerAccount}`);
  if (query.hostId !== "") conditions.push(sql`host_id = ${query.hostId}`);
  if (query.state !== InstanceState.UNSPECIFIED) conditions.push(sql`state = ${query.state}`);
  if (query.zoneId !== "") conditions.push(sql`zone_id = ${query.zoneId}`);
  if (query.name !== "") conditions.push(sql`name = ${query.name}`);
  const { rows } = await sql<InstanceRow>`
    SELECT * FROM instance WHERE ${sql.join(conditions, sql` AND `)} ORDER BY instance_id LIMIT ${query.limit}`.execute(db);
  return rows;
}

/** Instances that a host carries or has not let go of yet: its snapshot (C3). */
export async function instancesOnHost(db: Kysely<unknown>, hostId: string): Promise<InstanceRow[]> {
  const { rows } = await sql<InstanceRow>`SELECT * FROM instance WHERE host_id = ${hostId} ORDER BY instance_id`.execute(db);
  return rows;
}

/** Write name and tags of a locked instance: for people, no host hears of them. */
export async function describeInstance(
  tx: Tx,
  { instance_id, name, tags }: Pick<InstanceRow, "instance_id" | "name" | "tags">,
): Promise<InstanceRow> {
  const { rows } = await sql<InstanceRow>`
    UPDATE instance SET name = ${name}, tags = ${JSON.stringify(tags)}::jsonb, row_version = row_version + 1
    WHERE instance_id = ${instance_id} RETURNING *`.execute(tx);
  const row = rows[0];
  if (row === undefined) throw new Error(`the locked instance ${instance_id} is gone`);
  return row;
}

/** Let a locked instance act as another principal, or as nobody. `tell`: its host is to hear of it. */
export async function setActsAs(tx: Tx, row: InstanceRow, actsAs: string, tell: boolean): Promise<InstanceRow> {
  const { rows } = await sql<InstanceRow>`
    UPDATE instance SET acts_as = ${actsAs}, generation = generation + ${tell ? 1 : 0}, row_version = row_version + 1
    WHERE instance_id = ${row.instance_id} RETURNING *`.execute(tx);
  const changed = rows[0];
  if (changed === undefined) throw new Error(`the locked instance ${row.instance_id} is gone`);
  return changed;
}

/** What a host said beside the state. */
export interface Heard {
  readonly message: string;
  readonly netnsPath: string;
  readonly processRunning: boolean;
}

/** Write where a locked instance stands now. `operationId`: the newest operation about it. */
export async function moveInstance(
  tx: Tx,
  row: InstanceRow,
  next: InstanceStanding,
  more: { operationId?: string; heard?: Heard; forced?: boolean } = {},
): Promise<InstanceRow> {
  const { heard } = more;
  const gone = next.hostId === null;
  const { rows } = await sql<InstanceRow>`
    UPDATE instance SET
      state = ${next.state}, host_id = ${next.hostId}, generation = ${next.generation}, row_version = row_version + 1,
      applied_generation = ${next.appliedGeneration}, applied_state = ${next.appliedState},
      applied_message = ${heard?.message ?? row.applied_message},
      applied_time = CASE WHEN ${heard !== undefined} THEN now() ELSE applied_time END,
      netns_path = ${gone ? "" : (heard?.netnsPath ?? row.netns_path)},
      process_running = ${gone ? false : (heard?.processRunning ?? row.process_running)},
      forced = ${!gone && (more.forced ?? row.forced)},
      operation_id = ${more.operationId ?? row.operation_id},
      state_time = CASE WHEN ${next.state !== row.state} THEN now() ELSE state_time END
    WHERE instance_id = ${row.instance_id} RETURNING *`.execute(tx);
  const moved = rows[0];
  if (moved === undefined) throw new Error("a locked instance is gone");
  return moved;
}

/** Instances that are to leave their hosts by force. */
export async function forcedInstances(db: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ instance_id: string }>`SELECT instance_id FROM instance WHERE forced`.execute(db);
  return rows.map((row) => row.instance_id);
}

/** Forget instances that ended more than a day ago. */
export function forgetOldInstances(db: Kysely<unknown>, signal?: AbortSignal): Promise<void> {
  return deleteInBatches(db, "instance", sql`state = 6 AND state_time < now() - interval '1 day'`, { signal });
}
