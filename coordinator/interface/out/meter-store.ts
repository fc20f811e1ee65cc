import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";
import type { Reader } from "../ports.ts";

/** A host's readings of one meter. Cumulative. */
export interface Reading {
  readonly meterId: bigint;
  readonly egressPackets: bigint;
  readonly egressBytes: bigint;
  readonly ingressPackets: bigint;
  readonly ingressBytes: bigint;
}

/** Numbered drops of one attachment on that host. Cumulative. */
export interface Drops {
  readonly wireId: number;
  readonly reason: string;
  readonly packets: bigint;
}

/** What was counted, summed over meters. */
export interface TrafficSum {
  readonly egressPackets: bigint;
  readonly egressBytes: bigint;
  readonly ingressPackets: bigint;
  readonly ingressBytes: bigint;
  readonly droppedPackets: bigint;
  readonly dropsByReason: Readonly<Record<string, bigint>>;
  readonly readTime: Date | undefined;
}

/**
 * Take a host's readings: only of its own meters, and never downwards (C22). A repeat changes nothing. `readTime` is the host's clock,
 * bounded by ours.
 */
export async function addReadings(tx: Tx, hostId: string, readTime: Date, readings: readonly Reading[]): Promise<void> {
  if (readings.length === 0) return;
  const column = (value: (reading: Reading) => bigint): bigint[] => readings.map(value);
  await sql`
    UPDATE meter m SET
      egress_packets = greatest(m.egress_packets, r.ep), egress_bytes = greatest(m.egress_bytes, r.eb),
      ingress_packets = greatest(m.ingress_packets, r.ip), ingress_bytes = greatest(m.ingress_bytes, r.ib),
      read_time = greatest(m.read_time, least(${readTime}::timestamptz, now()))
    FROM unnest(${column((r) => r.meterId)}::bigint[], ${column((r) => r.egressPackets)}::bigint[], ${column((r) => r.egressBytes)}::bigint[],
                ${column((r) => r.ingressPackets)}::bigint[], ${column((r) => r.ingressBytes)}::bigint[]) AS r (meter_id, ep, eb, ip, ib)
    WHERE m.meter_id = r.meter_id AND m.host_id = ${hostId}`.execute(tx);
}

/** Take a host's drops. A wire id means its newest meter on that host: the one that counts now. */
export async function addDrops(tx: Tx, hostId: string, drops: readonly Drops[]): Promise<void> {
  if (drops.length === 0) return;
  await sql`
    INSERT INTO meter_drop (meter_id, reason, packets)
    SELECT m.meter_id, d.reason, max(d.packets)
    FROM unnest(${drops.map((d) => d.wireId)}::bigint[], ${drops.map((d) => d.reason)}::text[], ${drops.map((d) => d.packets)}::bigint[]) AS d (wire_id, reason, packets)
    JOIN LATERAL (SELECT meter_id FROM meter WHERE wire_id = d.wire_id AND host_id = ${hostId} ORDER BY meter_id DESC LIMIT 1) m ON true
    GROUP BY m.meter_id, d.reason ORDER BY m.meter_id, d.reason
    ON CONFLICT (meter_id, reason) DO UPDATE SET packets = excluded.packets WHERE meter_drop.packets < excluded.packets`.execute(tx);
}

interface SumRow {
  readonly id: string;
  readonly egress_packets: string;
  readonly egress_bytes: string;
  readonly ingress_packets: string;
  readonly ingress_bytes: string;
  readonly read_time: Date | null;
  readonly drops: Readonly<Record<string, string>> | null;
}

/** Sums by interface or by attachment. Those without a meter are left out. */
export async function trafficOf(
  db: Reader,
  by: "interface_id" | "attachment_id",
  ids: readonly string[],
): Promise<ReadonlyMap<string, TrafficSum>> {
  if (ids.length === 0) return new Map();
  const key = sql.ref(by);
  const { rows } = await sql<SumRow>`
    WITH mine AS MATERIALIZED (SELECT * FROM meter WHERE ${key} = ANY(${ids}::text[])),
    dropped AS (
      SELECT id, jsonb_object_agg(reason, packets::text) AS drops
      FROM (SELECT ${key} AS id, reason, sum(packets) AS packets FROM mine JOIN meter_drop USING (meter_id) GROUP BY 1, 2) d GROUP BY id
    ), counted AS (
      SELECT ${key} AS id, sum(egress_packets)::text AS egress_packets, sum(egress_bytes)::text AS egress_bytes,
             sum(ingress_packets)::text AS ingress_packets, sum(ingress_bytes)::text AS ingress_bytes, max(read_time) AS read_time
      FROM mine GROUP BY 1
    )
    SELECT counted.*, drops FROM counted LEFT JOIN dropped USING (id)`.execute(db);
  return new Map(rows.map((row) => [row.id, sumOf(row)]));
}

function sumOf(row: SumRow): TrafficSum {
  const dropsByReason = Object.fromEntries(Object.entries(row.drops ?? {}).map(([reason, packets]) => [reason, BigInt(packets)]));
  return {
    egressPackets: BigInt(row.egress_packets),
    egressBytes: BigInt(row.egress_bytes),
    ingressPackets: BigInt(row.ingress_packets),
    ingressBytes: BigInt(row.ingress_bytes),
    droppedPackets: Object.values(dropsByReason).reduce((sum, packets) => sum + packets, 0n),
    dropsByReason,
    readTime: row.read_time ?? undefined,
  };
}
