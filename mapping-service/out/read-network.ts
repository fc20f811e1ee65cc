import { sql } from "kysely";
import type { Kysely, Transaction } from "kysely";
import type { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import type { CoordinatorFeed } from "./tables.ts";

type Row = CoordinatorFeed["coordinator_feed.mapping"];

/** Rows in memory at a time: a million at once would be a gigabyte of objects. */
const PAGE = 5_000;

const itemOf = (row: Row): MappingItem => ({
  prefix: row.prefix,
  targets: [
    {
      interfaceId: row.interface_id,
      attachmentId: row.attachment_id,
      wireId: Number(row.wire_id),
      hostId: row.host_id,
      hostAddress: row.host_address,
      groupSetId: Number(row.group_set_id),
      macAddress: row.mac_address,
      weight: 1,
    },
  ],
});

/** The network's VNI; undefined when there is no such network. */
export async function readVni(db: Kysely<CoordinatorFeed>, networkId: bigint): Promise<number | undefined> {
  const row = await db.selectFrom("coordinator_feed.network").select("vni").where("network_id", "=", networkId).executeTakeFirst();
  return row === undefined ? undefined : Number(row.vni);
}

/** Which of these networks exist. */
export async function readExisting(db: Kysely<CoordinatorFeed>, networkIds: readonly bigint[]): Promise<Set<bigint>> {
  const { rows } = await sql<{ network_id: bigint }>`
    SELECT network_id FROM coordinator_feed.network WHERE network_id = ANY(${networkIds.map(String)}::bigint[])`.execute(db);
  return new Set(rows.map((row) => row.network_id));
}

/** Hand over every target of the network, one an item, as of the transaction's moment. */
export async function readMappings(tx: Transaction<CoordinatorFeed>, networkId: bigint, take: (item: MappingItem) => void): Promise<void> {
  await sql`DECLARE mappings NO SCROLL CURSOR FOR
    SELECT prefix, interface_id, attachment_id, wire_id, host_id, host_address, group_set_id, mac_address
    FROM coordinator_feed.mapping WHERE network_id = ${sql.lit(String(networkId))}::bigint`.execute(tx);
  const fetch = sql<Row>`FETCH ${sql.raw(String(PAGE))} FROM mappings`;
  for (;;) {
    const { rows } = await fetch.execute(tx);
    for (const row of rows) take(itemOf(row));
    if (rows.length < PAGE) break;
  }
  await sql`CLOSE mappings`.execute(tx);
}
