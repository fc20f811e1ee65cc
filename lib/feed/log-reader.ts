import { sql } from "kysely";
import type { Kysely, Transaction } from "kysely";
import { safeName } from "../db/database.ts";
import { snapshot } from "../db/transaction.ts";
import { CHUNK_BYTES } from "./chunks.ts";
import type { Position } from "./position.ts";

/** One change of a scope, and the position that it leads to. */
export interface Delta extends Position {
  readonly payload: Uint8Array;
}

/** What the log says past a position: the changes in order (perhaps only the first of them), or that they or the position are gone. */
export type LogAnswer = { readonly kind: "changes"; readonly level: bigint; readonly deltas: readonly Delta[] } | { readonly kind: "gone" };

/** A version whose mark is not known (undefined) is taken at its word. */
export type Since = Pick<Position, "version"> & { readonly mark: bigint | undefined };

export const NOTHING_YET: Position = { version: 0n, mark: 0n };

/** Reads the tables or views of one feed. */
export interface LogReader<Tables> {
  /** Where these scopes are; one that was never written is missing. */
  levels(scopes: readonly string[]): Promise<Map<string, Position>>;
  after(scope: string, since: Since): Promise<LogAnswer>;
  /** Where the scope is and whatever `read` reads, of one moment. */
  snapshot<Items>(scope: string, read: (tx: Transaction<Tables>) => Promise<Items>): Promise<{ at: Position; items: Items }>;
}

const PAGE = 500;
/** Of a page's payloads together; its first change comes however large it is. */
const PAGE_BYTES = 4 * CHUNK_BYTES;

interface Row {
  readonly level: bigint;
  readonly level_mark: bigint;
  readonly version: bigint | null;
  readonly payload: Buffer | null;
  readonly mark: bigint | null;
  readonly prev_mark: bigint | null;
}

export function createLogReader<Tables>(db: Kysely<Tables>, schema: string): LogReader<Tables> {
  const scopeTable = sql.table(`${safeName(schema)}.scope`);
  const changeTable = sql.table(`${safeName(schema)}.change`);
  return {
    async levels(scopes) {
      const { rows } = await sql<{ scope: string } & Position>`
        SELECT scope, version, mark FROM ${scopeTable} WHERE scope = ANY(${[...scopes]}::text[])`.execute(db);
      return new Map(rows.map(({ scope, version, mark }) => [scope, { version, mark }]));
    },
    async after(scope, { version, mark }) {
      // One statement, so that level and rows are of one moment.
      const { rows } = await sql<Row>`
        SELECT own.version AS level, own.mark AS level_mark, log.version, log.payload, log.mark, log.prev_mark FROM ${scopeTable} AS own
        LEFT JOIN LATERAL (
          SELECT version, payload, mark, prev_mark FROM (
            SELECT *, sum(octet_length(payload)) OVER (ORDER BY version) AS bytes FROM (
              SELECT version, payload, mark, prev_mark FROM ${changeTable}
              WHERE scope = own.scope AND version > ${version} ORDER BY version LIMIT ${PAGE}
            ) AS page
          ) AS measured WHERE bytes <= ${PAGE_BYTES} OR bytes = octet_length(payload)
        ) AS log ON true
        WHERE own.scope = ${scope} ORDER BY log.version`.execute(db);
      const level = rows[0]?.level ?? 0n;
      if (level < version) return { kind: "gone" }; // that version never was here: another database, or one set back
      const own = level === version ? (rows[0]?.level_mark ?? 0n) : rows[0]?.prev_mark;
      if (mark !== undefined && own !== mark) return { kind: "gone" }; // it was, with another content
      const deltas = rows.flatMap((row) =>
        row.version === null || row.payload === null ? [] : [{ version: row.version, mark: row.mark ?? 0n, payload: row.payload }],
      );
      const complete = deltas.every((delta, index) => delta.version === version + 1n + BigInt(index));
      const reached = level === version || deltas.length > 0;
      return complete && reached ? { kind: "changes", level, deltas } : { kind: "gone" };
    },
    snapshot: (scope, read) =>
      snapshot(db, async (tx) => {
        const { rows } = await sql<Position>`SELECT version, mark FROM ${scopeTable} WHERE scope = ${scope}`.execute(tx);
        return { at: rows[0] ?? NOTHING_YET, items: await read(tx) };
      }),
  };
}
