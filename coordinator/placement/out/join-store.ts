import { sql } from "kysely";
import type { Kysely } from "kysely";
import { deleteInBatches } from "#lib/db/delete-in-batches.ts";
import { violatedConstraint } from "#lib/db/errors.ts";
import { newId } from "#lib/ids/ids.ts";
import { alreadyExists } from "#lib/rpc/errors.ts";
import type { Tx } from "../../call/api.ts";

/** A join token as it is kept: without the token. */
export interface JoinTokenRow {
  readonly zone_id: string;
  /** The principal that made it. */
  readonly created_by: string;
  readonly live: boolean;
  readonly host_id: string | null;
  readonly key_fingerprint: string | null;
}

export async function insertJoinToken(
  tx: Tx,
  token: { hash: Uint8Array; zoneId: string; ttlMs: number; createdBy: string },
): Promise<Date> {
  const { rows } = await sql<{ expire_time: Date }>`
    INSERT INTO join_token (token_hash, zone_id, expire_time, created_by)
    VALUES (${Buffer.from(token.hash)}, ${token.zoneId}, now() + ${token.ttlMs} * interval '1 millisecond', ${token.createdBy})
    RETURNING expire_time`.execute(tx);
  const made = rows[0];
  if (made === undefined) throw new Error("an insert returned nothing");
  return made.expire_time;
}

/** The token, and nobody else uses it until the transaction ends. */
export async function lockJoinToken(tx: Tx, hash: Uint8Array): Promise<JoinTokenRow | undefined> {
  const { rows } = await sql<JoinTokenRow>`
    SELECT zone_id, created_by, expire_time > now() AS live, host_id, key_fingerprint FROM join_token
    WHERE token_hash = ${Buffer.from(hash)} FOR UPDATE`.execute(tx);
  return rows[0];
}

export async function useJoinToken(tx: Tx, hash: Uint8Array, hostId: string, keyFingerprint: string): Promise<void> {
  await sql`
    UPDATE join_token SET host_id = ${hostId}, key_fingerprint = ${keyFingerprint} WHERE token_hash = ${Buffer.from(hash)}`.execute(tx);
}

export interface JoinedHost {
  readonly host_id: string;
  readonly name: string;
  readonly zone_id: string;
  readonly substrate_address: string;
  readonly barred: boolean;
}

/** The host whose key this is, or was before the last renewal. */
export async function hostOfKey(tx: Tx, keyFingerprint: string): Promise<JoinedHost | undefined> {
  const { rows } = await sql<JoinedHost>`
    SELECT host_id, name, zone_id, host(substrate_address) AS substrate_address, bar_time IS NOT NULL AS barred FROM host
    WHERE key_fingerprint = ${keyFingerprint} OR previous_key_fingerprint = ${keyFingerprint}
    ORDER BY key_fingerprint = ${keyFingerprint} DESC LIMIT 1`.execute(tx);
  return rows[0];
}

/** ALREADY_EXISTS (NAME_TAKEN) when another host has the name, the address or the key. */
export async function insertHost(
  tx: Tx,
  host: { name: string; zoneId: string; substrateAddress: string; keyFingerprint: string },
): Promise<string> {
  const hostId = newId("host");
  try {
    await sql`
      INSERT INTO host (host_id, name, zone_id, substrate_address, key_fingerprint)
      VALUES (${hostId}, ${host.name}, ${host.zoneId}, ${host.substrateAddress}::inet, ${host.keyFingerprint})`.execute(tx);
    return hostId;
  } catch (error) {
    const constraint = violatedConstraint(error)?.constraint;
    if (constraint === "host_name") throw taken("name", host.name);
    if (constraint === "host_substrate_address") throw taken("substrate_address", host.substrateAddress);
    if (constraint === HOST_KEY) throw keyTaken(host.keyFingerprint);
    throw error;
  }
}

const taken = (field: string, value: string): Error =>
  alreadyExists("NAME_TAKEN", `another host has the ${field} ${value}: a machine that joins anew needs its old key, or another ${field}`, {
    name: value,
    field,
  });

/** Name of the constraint by which a key is one host's. */
export const HOST_KEY = "host_key";

export const keyTaken = (keyFingerprint: string): Error =>
  alreadyExists("NAME_TAKEN", `csr is for a key that another host has (SHA-256 ${keyFingerprint}): make a new key, or repeat the call`, {
    name: keyFingerprint,
    field: "csr",
  });

/** Forget tokens that ended a day ago. */
export function forgetOldTokens(db: Kysely<unknown>, signal?: AbortSignal): Promise<void> {
  return deleteInBatches(db, "join_token", sql`expire_time < now() - interval '1 day'`, { signal });
}
