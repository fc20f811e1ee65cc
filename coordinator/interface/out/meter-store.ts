import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import type { Tx } from "../../call/api.ts";
import type { Reader } from "../ports.ts";

/** What a host counted with one meter since it began to count from 0; `epoch` names that beginning. */
export interface Reading {
  readonly meterId: bigint;
  readonly epoch: bigint;
  readonly egressPackets: bigint;
  readonly egressBytes: bigint;
  readonly ingressPackets: bigint;
  readonly ingressBytes: bigint;
}

/** Numbered drops of one attachment on that host since its counter there was made; `epoch` names that. */
export interface Drops {
  readonly wireId: number;
  readonly reason: string;
  readonly epoch: bigint;
  readonly packets: bigint;
}

/** What was counted, summed over meters and epochs. */
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
 * Take a host's readings: only of its own meters, and the largest of each epoch (C22), so that their order and repeats mean nothing.
 * `readTime` is the host's clock, bounded by ours; undefined: it did not say.
 */
export async function addReadings(tx: Tx, hostId: string, readTime: Date | undefined, readings: readonly Reading[]): Promise<void> {
  if (readings.length === 0) return;
  const column = (value: (reading: Reading) => bigint): bigint[] => readings.map(value);
  await sql`
    INSERT INTO meter_reading AS old (meter_id, epoch, egress_packets, egress_bytes, ingress_packets, ingress_bytes, read_time)
    SELECT m.meter_id, r.epoch, max(r.ep), max(r.eb), max(r.ip), max(r.ib), least(${readTime ?? null}::timestamptz, now())
    FROM unnest(${column((r) => r.meterId)}::bigint[], ${column((r) => r.epoch)}::bigint[],
                ${column((r) => r.egressPackets)}::bigint[], ${column((r) => r.egressBytes)}::bigint[],
                ${column((r) => r.ingressPackets)}::bigint[], ${column((r) => r.ingressBytes)}::bigint[]) AS r (meter_id, epoch, ep, eb, ip, ib)
    JOIN meter m ON m.meter_id = r.meter_id AND m.host_id = ${hostId}
    GROUP BY m.meter_id, r.epoch ORDER BY m.meter_id, r.epoch
    ON CONFLICT (meter_id, epoch) DO UPDATE SET
      egress_packets = greatest(old.egress_packets, excluded.egress_packets), egress_bytes = greatest(old.egress_bytes, excluded.egress_bytes),
      ingress_packets = greatest(old.ingress_packets, excluded.ingress_packets), ingress_bytes = greatest(old.ingress_bytes, excluded.ingress_bytes),
      read_time = greatest(old.read_time, excluded.read_time)
    WHERE old.egress_packets < excluded.egress_packets OR old.egress_bytes < excluded.egress_bytes
       OR old.ingress_packets < excluded.ingress_packets OR old.ingress_bytes < excluded.ingress_bytes`.execute(tx);
}

/** Take a host's drops of attachments that it has or had a meter of: the largest of each epoch. */
export async function addDrops(tx: Tx, hostId: string, drops: readonly Drops[]): Promise<void> {
  if (drops.length === 0) return;
  await sql`
    INSERT INTO attachment_drop AS old (wire_id, host_id, reason, epoch, packets)
    SELECT d.wire_id, ${hostId}, d.reason, d.epoch, max(d.packets)
    FROM unnest(${drops.map((d) => d.wireId)}::bigint[], ${drops.map((d) => d.reason)}::text[], ${drops.map((d) => d.epoch)}::bigint[],
                ${drops.map((d) => d.packets)}::bigint[]) AS d (wire_id, reason, epoch, packets)
    WHERE EXISTS (SELECT FROM meter m WHERE m.wire_id = d.wire_id AND m.host_id = ${hostId})
    GROUP BY d.wire_id, d.reason, d.epoch ORDER BY d.wire_id, d.reason, d.epoch
    ON CONFLICT (wire_id, host_id, reason, epoch) DO UPDATE SET packets = excluded.packets WHERE old.packets < excluded.packets`.execute(
    tx,
  );
}

interface SumRow {
  readonly id: string;
  readonly egress_packets: string;
  readonly egress_bytes: string;
  readonly ingress_packets: string;
  readonly ingress_bytes: string;
  /** Text where it comes out of jsonb. */
  readonly read_time: Date | string | null;
  readonly drops: Readonly<Record<string, string>> | null;
}

/** Which meters' sums. */
type SumKey = "interface_id" | "attachment_id";

/** `ids`: SQL of a text[]. */
function sumsQuery(by: SumKey, ids: RawBuilder<unknown>): RawBuilder<SumRow> {
  const key = sql.ref(by);
  return sql<SumRow>`
    WITH metered AS MATERIALIZED (SELECT ${key} AS id, meter_id, wire_id, host_id FROM meter WHERE ${key} = ANY(${ids})),
    dropped AS (
      SELECT id, jsonb_object_agg(reason, packets::text) AS drops
      FROM (
        SELECT id, reason, sum(packets) AS packets
        FROM (SELECT DISTINCT id, wire_id, host_id FROM metered) AS place JOIN attachment_drop USING (wire_id, host_id) GROUP BY 1, 2
      ) d GROUP BY id
    ), counted AS (
      SELECT id, coalesce(sum(egress_packets), 0)::text AS egress_packets, coalesce(sum(egress_bytes), 0)::text AS egress_bytes,
             coalesce(sum(ingress_packets), 0)::text AS ingress_packets, coalesce(sum(ingress_bytes), 0)::text AS ingress_bytes,
             max(read_time) AS read_time
      FROM metered LEFT JOIN meter_reading USING (meter_id) GROUP BY 1
    )
    SELECT counted.*, drops FROM counted LEFT JOIN dropped USING (id)`;
}

/** Sums by interface. Those without a meter are left out. */
export async function trafficOf(db: Reader, interfaceIds: readonly string[]): Promise<ReadonlyMap<string, TrafficSum>> {
  if (interfaceIds.length === 0) return new Map();
  const { rows } = await sumsQuery("interface_id", sql`${interfaceIds}::text[]`).execute(db);
  return new Map(rows.map((row) => [row.id, sumOf(row)]));
}

/** Part of a larger statement: jsonb of attachments' sums, for {@link trafficIn}. `attachmentIds`: SQL of a text[]. */
export const trafficQuery = (attachmentIds: RawBuilder<unknown>): RawBuilder<unknown> =>
  sql`SELECT jsonb_agg(to_jsonb(sums)) FROM (${sumsQuery("attachment_id", attachmentIds)}) AS sums`;

/** Sums by attachment. Those without a meter are left out. */
export const trafficIn = (answer: unknown): ReadonlyMap<string, TrafficSum> =>
  new Map(((answer ?? []) as SumRow[]).map((row) => [row.id, sumOf(row)]));

function sumOf(row: SumRow): TrafficSum {
  const dropsByReason = Object.fromEntries(Object.entries(row.drops ?? {}).map(([reason, packets]) => [reason, BigInt(packets)]));
  return {
    egressPackets: BigInt(row.egress_packets),
    egressBytes: BigInt(row.egress_bytes),
    ingressPackets: BigInt(row.ingress_packets),
    ingressBytes: BigInt(row.ingress_bytes),
    droppedPackets: Object.values(dropsByReason).reduce((sum, packets) => sum + packets, 0n),
    dropsByReason,
    readTime: row.read_time === null ? undefined : new Date(row.read_time),
  };
}
