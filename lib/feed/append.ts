import { sql } from "kysely";
import type { RawBuilder, Transaction } from "kysely";
import type { Bus } from "../bus/bus.ts";
import { encodeHint, hintSubject, scopeKind } from "./hint.ts";

/** What a transaction changed within one scope ("network:vpc-…"). One payload per scope: a batch takes one version. */
export interface Change {
  readonly scope: string;
  readonly payload: Uint8Array;
}

/** A change with its place in the order of its scope. */
export interface AppendedChange extends Change {
  readonly prev: bigint;
  readonly version: bigint;
  /** See Position: of `prev`, and of `version`. */
  readonly prevMark: bigint;
  readonly mark: bigint;
}

/**
 * Write changes to the log of the feed in the transaction's own schema (its search path). The last statement of a writing
 * transaction: from here to the commit it holds the scopes. Hand the result to {@link publishHints} once committed. `beside`: named parts
 * ("name AS (INSERT …)") that the same statement writes.
 */
export async function appendChanges<Tables>(
  tx: Transaction<Tables>,
  changes: readonly Change[],
  beside: readonly RawBuilder<unknown>[] = [],
): Promise<AppendedChange[]> {
  if (changes.length === 0 && beside.length === 0) return [];
  const payloads = new Map(changes.map(({ scope, payload }) => [scope, payload]));
  if (payloads.size !== changes.length) throw new Error("a scope occurs twice: put a transaction's changes of one scope into one payload");
  for (const scope of payloads.keys()) scopeKind(scope); // a scope nobody could follow must not be written
  const scopes = [...payloads.keys()];
  const bytes = scopes.map((scope) => Buffer.from(payloads.get(scope) ?? []));
  const { rows } = await sql<{ scope: string; version: bigint; mark: bigint; prev_mark: bigint }>`
    ${beside.length === 0 ? sql`` : sql`WITH ${sql.join(beside)}`}
    SELECT scope, version, mark, prev_mark FROM append_changes(${scopes}::text[], ${bytes}::bytea[])`.execute(tx);
  return rows.map(({ scope, version, mark, prev_mark: prevMark }) => {
    return { scope, version, prev: version - 1n, mark, prevMark, payload: payloads.get(scope) ?? new Uint8Array() };
  });
}

/** Tell whoever follows. After the commit only: a hint of what is rolled back would be a lie. Never throws for a bus that is away. */
export function publishHints(bus: Bus, changes: readonly AppendedChange[]): void {
  for (const { payload, ...change } of changes) {
    bus.publish(hintSubject(scopeKind(change.scope)), encodeHint({ ...change, delta: payload }));
  }
}
