import { sql } from "kysely";
import type { Kysely, Transaction } from "kysely";
import { safeName } from "../db/database.ts";
import { snapshot } from "../db/transaction.ts";

/** One change of a scope. */
export interface Delta {
  readonly version: bigint;
  readonly payload: Uint8Array;
}

/** What the log says past a version: the changes in order (perhaps only the first of them), or that some are gone. */
export type LogAnswer = { readonly kind: "changes"; readonly level: bigint; readonly deltas: readonly Delta[] } | { readonly kind: "gone" };

/** Reads the tables or views of one feed. */
export interface LogReader<Tables> {
  /** Versions of these scopes; one that was never written is missing. */
  levels(scopes: readonly string[]): Promise<Map<string, bigint>>;
  after(scope: string, version: bigint): Promise<LogAnswer>;
  /** The scope's version and whatever `read` reads, of one moment. */
  snapshot<Items>(scope: string, read: (tx: Transaction<Tables>) => Promise<Items>): Promise<{ version: bigint; items: Items }>;
}

const PAGE = 500;

interface Row {
  readonly level: bigint;
  readonly version: bigint | null;
  readonly payload: Buffer | null;
}

export function createLogReader<Tables>(db: Kysely<Tables>, schema: string): LogReader<Tables> {
  const scopeTable = sql.table(`${safeName(schema)}.scope`);
  const changeTable = sql.table(`${safeName(schema)}.change`);
  return {
    async levels(scopes) {
      const { rows } = await sql<{ scope: string; version: bigint }>`
        SELECT scope, version FROM ${scopeTable} WHERE scope = ANY(${[...scopes]}::text[])`.execute(db);
      return new Map(rows.map((row) => [row.scope, row.version]));
    },
    async after(scope, version) {
      // One statement, so that level and rows are of one moment.
      const { rows } = await sql<Row>`
        SELECT own.version AS level, log.version, log.payload FROM ${scopeTable} AS own
        LEFT JOIN LATERAL (
          SELECT version, payload FROM ${changeTable} WHERE scope = own.scope AND version > ${version} ORDER BY version LIMIT ${PAGE}
        ) AS log ON true
        WHERE own.scope = ${scope} ORDER BY log.version`.execute(db);
      const level = rows[0]?.level ?? 0n;
      if (level < version) return { kind: "gone" }; // that version never was here: another database, or one set back
      const deltas = rows.flatMap((row) =>
        row.version === null || row.payload === null ? [] : [{ version: row.version, payload: row.payload }],
      );
      const complete = deltas.every((delta, index) => delta.version === version + 1n + BigInt(index));
      const reached = level === version || deltas.length > 0;
      return complete && reached ? { kind: "changes", level, deltas } : { kind: "gone" };
    },
    snapshot: (scope, read) =>
      snapshot(db, async (tx) => {
        const { rows } = await sql<{ version: bigint }>`SELECT version FROM ${scopeTable} WHERE scope = ${scope}`.execute(tx);
        return { version: rows[0]?.version ?? 0n, items: await read(tx) };
      }),
  };
}
