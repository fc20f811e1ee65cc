import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import { alreadyExists } from "#lib/rpc/errors.ts";
import type { Tx } from "../api.ts";
import type { ResourceRef } from "../core/decide.ts";
import type { Subject } from "../core/subject.ts";

/** What tells one repeated call from another (C10). */
export interface IdempotencyKey {
  readonly account: string;
  readonly principal: string;
  readonly method: string;
  readonly requestId: string;
}

/** What an earlier call was allowed, to be decided again for its repeat. */
export interface AllowedAction {
  readonly action: string;
  /** Grants: those only that follow from the rows themselves. */
  readonly resource: ResourceRef;
}

/** The answer of an earlier call. */
export interface StoredAnswer {
  readonly response: Uint8Array;
  readonly allowed: readonly AllowedAction[];
}

export function idempotencyKey(subject: Subject, method: string, requestId: string): IdempotencyKey {
  return { account: subject.accountId ?? "", principal: subject.principalId, method, requestId };
}

const where = (key: IdempotencyKey) =>
  sql`account_id = ${key.account} AND principal_id = ${key.principal} AND method = ${key.method} AND request_id = ${key.requestId}`;

/**
 * Take the key, as the first statement of the transaction. Undefined: it is ours, the call runs. Else: the earlier call's answer.
 * A call with the same key that is running now is waited for; if it fails, the key is ours. Keys older than 24 hours count as new.
 * Another request under the same key: ALREADY_EXISTS (REQUEST_ID_REUSED).
 */
export async function claim(tx: Tx, key: IdempotencyKey, hash: Uint8Array): Promise<StoredAnswer | undefined> {
  const { rows: ours } = await sql`
    INSERT INTO idempotency (account_id, principal_id, method, request_id, request_hash)
    VALUES (${key.account}, ${key.principal}, ${key.method}, ${key.requestId}, ${Buffer.from(hash)})
    ON CONFLICT (account_id, principal_id, method, request_id) DO UPDATE
      SET request_hash = excluded.request_hash, response = NULL, allowed = '[]', create_time = now()
      WHERE idempotency.create_time < now() - interval '24 hours'
    RETURNING 1`.execute(tx);
  if (ours.length > 0) return undefined;
  const { rows } = await sql<{ request_hash: Buffer; response: Buffer | null; allowed: AllowedAction[] }>`
    SELECT request_hash, response, allowed FROM idempotency WHERE ${where(key)}`.execute(tx);
  const row = rows[0];
  if (row === undefined || row.response === null) throw new Error("an idempotency key is held by a call that left no answer");
  if (!row.request_hash.equals(hash)) {
    throw alreadyExists("REQUEST_ID_REUSED", `request_id ${key.requestId} was used before with another request; use a new one`, {
      request_id: key.requestId,
    });
  }
  return { response: row.response, allowed: row.allowed };
}

/** Keep the answer for repeats: a statement, as part of another. */
export const keeping = (key: IdempotencyKey, answer: StoredAnswer): RawBuilder<unknown> => sql`
  UPDATE idempotency SET response = ${Buffer.from(answer.response)}, allowed = ${JSON.stringify(answer.allowed)}::jsonb WHERE ${where(key)}`;
