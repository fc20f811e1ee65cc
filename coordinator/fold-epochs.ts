import { sql } from "kysely";
import type { Kysely } from "kysely";

/**
 * A host that begins anew begins a row for all that it counts. Lives long over are put together, so that the rows of one counter have a
 * bound however often its host was started.
 */

/** Epochs that one counter may have before its older half becomes one. */
export const MOST_EPOCHS = 64;
/** Counters that one statement folds at most. */
const BATCH = 1_000;

interface Counted {
  readonly table: string;
  /** Which counter. */
  readonly key: readonly string[];
  readonly sums: readonly string[];
}

const COUNTED: readonly Counted[] = [
  { table: "meter_reading", key: ["meter_id"], sums: ["egress_packets", "egress_bytes", "ingress_packets", "ingress_bytes"] },
  { table: "attachment_drop", key: ["wire_id", "host_id", "reason"], sums: ["packets"] },
  { table: "host_drop", key: ["host_id", "reason"], sums: ["packets"] },
];

/**
 * Sums stay as they are. Any number of copies may do it: what one deleted, no other adds. A host reports of its present life only (an
 * older session's word is refused), so no reading of a life that was folded can come.
 */
export async function foldEpochs(db: Kysely<unknown>, signal?: AbortSignal): Promise<void> {
  for (const { table, key, sums } of COUNTED) {
    const name = sql.table(table);
    const columns = (names: readonly string[], of = "") => sql.join(names.map((column) => sql.ref(`${of}${column}`)));
    const same = (a: string, b: string) =>
      sql.join(
        key.map((column) => sql`${sql.ref(`${a}.${column}`)} = ${sql.ref(`${b}.${column}`)}`),
        sql` AND `,
      );
    for (;;) {
      signal?.throwIfAborted();
      const { rows } = await sql`
        WITH crowded AS (
          SELECT ${columns(key)} FROM ${name} GROUP BY ${columns(key)} HAVING count(*) > ${MOST_EPOCHS} LIMIT ${BATCH}
        ), ranked AS (
          SELECT ${columns(key)}, epoch, row_number() OVER (PARTITION BY ${columns(key)} ORDER BY epoch DESC) AS place,
            min(epoch) OVER (PARTITION BY ${columns(key)}) AS eldest
          FROM ${name} JOIN crowded USING (${columns(key)})
        ), gone AS (
          DELETE FROM ${name} AS row USING ranked
          WHERE ${same("row", "ranked")} AND row.epoch = ranked.epoch AND place > ${MOST_EPOCHS / 2} AND row.epoch <> eldest
          RETURNING ${columns(key, "row.")}, eldest, ${columns(sums, "row.")}
        ), more AS (
          SELECT ${columns(key)}, eldest, ${sql.join(sums.map((column) => sql`sum(${sql.ref(column)})::bigint AS ${sql.ref(column)}`))}
          FROM gone GROUP BY ${columns(key)}, eldest
        )
        UPDATE ${name} AS row SET ${sql.join(sums.map((c) => sql`${sql.ref(c)} = ${sql.ref(`row.${c}`)} + ${sql.ref(`more.${c}`)}`))}
        FROM more WHERE ${same("row", "more")} AND row.epoch = more.eldest RETURNING 1`.execute(db);
      if (rows.length < BATCH) break;
    }
  }
}
