import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Tx } from "../../call/api.ts";
import type { Reader } from "../ports.ts";
import { jsonRows } from "./rows.ts";
import type { AttachmentRow } from "./rows.ts";

/**
 * What is off a host by force while that host has not said so (C7). The host counts as one of the network until then, and is told to let
 * go whenever it connects. An attachment has at most one row a host, and none at the host that carries it.
 */

/** `version`: the network's without the mapping, which the other hosts had applied then. */
export type Residue = Pick<AttachmentRow, "host_id" | "attachment_id" | "network_id" | "generation" | "meter_id"> & {
  readonly version: bigint;
};

/** These attachments are off the hosts that their rows name, without those hosts' word. They are locked by the caller. */
export async function leaveResidue(tx: Tx, rows: readonly Residue[]): Promise<void> {
  if (rows.length === 0) return;
  const given = rows.map(({ host_id, attachment_id, network_id, generation, meter_id, version }) => ({
    host_id,
    attachment_id,
    network_id,
    generation,
    meter_id,
    version,
  }));
  await sql`
    INSERT INTO attachment_residue (host_id, attachment_id, network_id, generation, meter_id, version)
    SELECT * FROM jsonb_to_recordset(${jsonRows(given)}::jsonb)
      AS t (host_id text, attachment_id text, network_id bigint, generation bigint, meter_id bigint, version bigint)`.execute(tx);
}

/** A host said that it let go of these generations of attachments. Answers what that ended. */
export async function confirmResidue(
  tx: Tx,
  hostId: string,
  said: readonly { readonly attachmentId: string; readonly generation: bigint }[],
): Promise<{ attachment_id: string; network_id: bigint }[]> {
  if (said.length === 0) return [];
  const { rows } = await sql<{ attachment_id: string; network_id: bigint }>`
    DELETE FROM attachment_residue r
    USING unnest(${said.map((one) => one.attachmentId)}::text[], ${said.map((one) => one.generation)}::bigint[]) AS s (attachment_id, generation)
    WHERE r.host_id = ${hostId} AND r.attachment_id = s.attachment_id AND r.generation = s.generation
    RETURNING r.attachment_id, r.network_id`.execute(tx);
  return rows;
}

/** These attachments are placed on a host: what it may still have of them is what it carries from now on. */
export async function replaceResidue(tx: Tx, hostId: string, attachmentIds: readonly string[]): Promise<void> {
  await sql`DELETE FROM attachment_residue WHERE host_id = ${hostId} AND attachment_id = ANY(${attachmentIds}::text[])`.execute(tx);
}

/** Part of a larger statement: jsonb for {@link residueIn}. `attachmentIds`: SQL of a text[]. */
export const residueQuery = (attachmentIds: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  SELECT jsonb_object_agg(attachment_id, host_ids) FROM (
    SELECT attachment_id, array_agg(host_id ORDER BY host_id) AS host_ids FROM attachment_residue
    WHERE attachment_id = ANY(${attachmentIds}) GROUP BY attachment_id) AS residue`;

/** By attachment, the hosts that may still carry it, in order of id. Attachments without any are left out. */
export const residueIn = (answer: unknown): ReadonlyMap<string, readonly string[]> =>
  new Map(Object.entries((answer ?? {}) as Record<string, string[]>));

/** What a host is to let go of, with the generation and the meter that it knows. */
export async function residueOnHost(db: Reader, hostId: string): Promise<AttachmentRow[]> {
  const { rows } = await sql<AttachmentRow & { known: bigint; counted: bigint }>`
    SELECT a.*, r.generation AS known, r.meter_id AS counted FROM attachment_residue r JOIN attachment a USING (attachment_id)
    WHERE r.host_id = ${hostId} ORDER BY attachment_id`.execute(db);
  return rows.map(({ known, counted, ...row }) => ({ ...row, generation: known, meter_id: counted }));
}

/** By network, the version from which on nothing that was forced off this host is believed; networks of before that was kept are left out. */
export async function residueVersions(db: Reader, hostId: string): Promise<ReadonlyMap<bigint, bigint>> {
  const { rows } = await sql<{ network_id: bigint; version: bigint }>`
    SELECT network_id, max(version) AS version FROM attachment_residue
    WHERE host_id = ${hostId} GROUP BY network_id HAVING count(*) = count(version)`.execute(db);
  return new Map(rows.map((row) => [row.network_id, row.version]));
}

/** The host will never say anything of them. */
export async function dropResidue(tx: Tx, hostId: string): Promise<void> {
  await sql`DELETE FROM attachment_residue WHERE host_id = ${hostId}`.execute(tx);
}
