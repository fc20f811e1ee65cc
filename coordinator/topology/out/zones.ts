import { sql } from "kysely";
import { notFound } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";

export interface Zone {
  readonly zoneId: string;
  readonly regionId: string;
}

export async function getZone(tx: Tx, zoneId: string): Promise<Zone | undefined> {
  const { rows } = await sql<Zone>`SELECT zone_id AS "zoneId", region_id AS "regionId" FROM zone WHERE zone_id = ${zoneId}`.execute(tx);
  return rows[0];
}

/** The zone, or NOT_FOUND. Everybody sees zones. */
export async function requireZone(tx: Tx, zoneId: string): Promise<Zone> {
  const zone = await getZone(tx, zoneId);
  if (zone === undefined) throw notFound("zone", zoneId);
  return zone;
}

/** Make zone and region where they are not there; answers the zone that is there then, which may be in another region. */
export async function ensureZone(tx: Tx, wanted: Zone): Promise<Zone> {
  await sql`INSERT INTO region (region_id) VALUES (${wanted.regionId}) ON CONFLICT DO NOTHING`.execute(tx);
  await sql`INSERT INTO zone (zone_id, region_id) VALUES (${wanted.zoneId}, ${wanted.regionId}) ON CONFLICT DO NOTHING`.execute(tx);
  return requireZone(tx, wanted.zoneId);
}

/** In order of id. */
export async function listRegions(tx: Tx, page: { after: string; limit: number }): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT region_id AS id FROM region WHERE region_id > ${page.after} ORDER BY region_id LIMIT ${page.limit}`.execute(tx);
  return rows.map((row) => row.id);
}

/** In order of id; `regionId` empty: of all regions. */
export async function listZones(tx: Tx, page: { regionId: string; after: string; limit: number }): Promise<Zone[]> {
  const region = page.regionId === "" ? sql`true` : sql`region_id = ${page.regionId}`;
  const { rows } = await sql<Zone>`
    SELECT zone_id AS "zoneId", region_id AS "regionId" FROM zone
    WHERE ${region} AND zone_id > ${page.after} ORDER BY zone_id LIMIT ${page.limit}`.execute(tx);
  return rows;
}
