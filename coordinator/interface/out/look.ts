import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { InstanceDirectory, Reader } from "../ports.ts";
import { trafficIn, trafficQuery } from "./meter-store.ts";
import type { TrafficSum } from "./meter-store.ts";
import { networksOf, observationIn, observationQuery } from "./reach.ts";
import type { Observation } from "./reach.ts";
import { residueIn, residueQuery } from "./residue-store.ts";
import type { AttachmentRow } from "./rows.ts";

/** Attachments, and all that their messages say besides. */
export interface Look {
  readonly rows: readonly AttachmentRow[];
  readonly seen: Observation;
  /** By attachment. */
  readonly sums: ReadonlyMap<string, TrafficSum>;
  /** By attachment, the hosts that may still carry it. */
  readonly residue: ReadonlyMap<string, readonly string[]>;
}

interface Parts {
  readonly seen: unknown;
  readonly sums: unknown;
  readonly residue: unknown;
}

const NOTHING: Look = { rows: [], seen: { hosts: new Map(), networks: new Map() }, sums: new Map(), residue: new Map() };

const partsIn = (directory: InstanceDirectory, rows: readonly AttachmentRow[], { seen, sums, residue }: Parts): Look => ({
  rows,
  seen: observationIn(directory, seen, networksOf(rows)),
  sums: trafficIn(sums),
  residue: residueIn(residue),
});

/** Of rows that were read already. */
export async function lookAround(db: Reader, directory: InstanceDirectory, rows: readonly AttachmentRow[]): Promise<Look> {
  if (rows.length === 0) return NOTHING;
  const ids = sql`${rows.map((row) => row.attachment_id)}::text[]`;
  const hosts = sql`${rows.flatMap((row) => row.host_id ?? [])}::text[]`;
  const { rows: answers } = await sql<Parts>`
    SELECT (${observationQuery(directory, sql`${networksOf(rows)}::bigint[]`, hosts)}) AS seen,
           (${trafficQuery(ids)}) AS sums, (${residueQuery(ids)}) AS residue`.execute(db);
  const [parts] = answers;
  if (parts === undefined) throw new Error("a look saw nothing");
  return partsIn(directory, rows, parts);
}

/** A row of {@link lookQuery}; all null where it found nothing and is a part of another statement. */
export type LookRow = { readonly [Column in keyof AttachmentRow]: AttachmentRow[Column] | null } & Parts;

/** Attachments by id, those that are over too, and all around them: one statement, hence one moment. The rest is in the first row. */
export function lookQuery(directory: InstanceDirectory, attachmentIds: readonly string[]): RawBuilder<LookRow> {
  const ids = sql`${attachmentIds}::text[]`;
  const networks = sql`ARRAY(SELECT DISTINCT network_id FROM mine WHERE host_id IS NOT NULL)`;
  const hosts = sql`ARRAY(SELECT host_id FROM mine WHERE host_id IS NOT NULL)`;
  const first = (part: RawBuilder<unknown>) => sql`CASE WHEN place = 1 THEN (${part}) END`;
  return sql<LookRow>`
    WITH mine AS MATERIALIZED (
      SELECT *, row_number() OVER (ORDER BY instance_id, device_index) AS place FROM attachment WHERE attachment_id = ANY(${ids})
    )
    SELECT *, ${first(observationQuery(directory, networks, hosts))} AS seen, ${first(trafficQuery(ids))} AS sums,
           ${first(residueQuery(ids))} AS residue
    FROM mine ORDER BY place`;
}

/** The same without anybody's right to see it. */
export async function lookAt(db: Reader, directory: InstanceDirectory, attachmentIds: readonly string[]): Promise<Look> {
  return lookIn(directory, (await lookQuery(directory, attachmentIds).execute(db)).rows);
}

/** What the query answered. */
export function lookIn(directory: InstanceDirectory, answered: readonly LookRow[]): Look {
  const [first] = answered;
  const rows = answered.filter((row): row is AttachmentRow & Parts => row.attachment_id !== null);
  return first === undefined || rows.length === 0 ? NOTHING : partsIn(directory, rows, first);
}
