import { sql } from "kysely";
import type { Kysely, RawBuilder } from "kysely";
import { violatedConstraint } from "#lib/db/errors.ts";
import type { Tx } from "../../call/api.ts";
import { refusalOfHost } from "./bar-store.ts";
import { HOST_KEY, keyTaken } from "./join-store.ts";
import { substrateColumns } from "./substrate-store.ts";
import type { SubstrateSaid } from "./substrate-store.ts";

/** Who connects. */
export interface SessionHello {
  readonly agentVersion: string;
  readonly kernelRelease: string;
  readonly substrateMtu: number;
  /** Undefined: an agent that says nothing of it. */
  readonly substrate: SubstrateSaid | undefined;
  /** What it can carry; absent or null: it does not say. */
  readonly maxInstances?: number | null;
  readonly maxAttachments?: number | null;
}

/**
 * Open a session: its number is one above the last, and from here on whatever an older one says is refused (C5). What a host had
 * applied of its networks must be said anew: it may have been started from nothing. NOT_FOUND, PERMISSION_DENIED (HOST_BARRED).
 */
export async function openSession(tx: Tx, hostId: string, hello: SessionHello): Promise<bigint> {
  const { rows } = await sql<{ session_epoch: bigint }>`
    UPDATE host SET session_epoch = session_epoch + 1, connected = true, applied_version = 0, last_seen = now(), agent_version = ${hello.agentVersion},
                    kernel_release = ${hello.kernelRelease}, substrate_mtu = ${hello.substrateMtu}, ${substrateColumns(hello.substrate)},
                    max_instances = ${hello.maxInstances ?? null}, max_attachments = ${hello.maxAttachments ?? null}
    WHERE host_id = ${hostId} AND bar_time IS NULL RETURNING session_epoch`.execute(tx);
  const [opened] = rows;
  if (opened === undefined) throw await refusalOfHost(tx, hostId);
  // After the lock, by a statement that sees what the older session wrote until then.
  await sql`DELETE FROM host_network_version WHERE host_id = ${hostId}`.execute(tx);
  return opened.session_epoch;
}

/** The session ended. A newer one is not touched. */
export async function closeSession(db: Kysely<unknown>, hostId: string, epoch: bigint): Promise<void> {
  await sql`UPDATE host SET connected = false WHERE host_id = ${hostId} AND session_epoch = ${epoch}`.execute(db);
}

/** Whether the session is the host's newest. For what may be written a moment late: the host's row is not locked. */
export async function sessionLives(tx: Tx, hostId: string, epoch: bigint): Promise<boolean> {
  const { rows } = await sql`SELECT FROM host WHERE host_id = ${hostId} AND session_epoch = ${epoch}`.execute(tx);
  return rows.length > 0;
}

/** What one session has applied; a heartbeat has nothing. */
export interface SessionVersions {
  readonly hostId: string;
  readonly epoch: bigint;
  readonly hostVersion: bigint;
  readonly networks: ReadonlyMap<bigint, bigint>;
}

/**
 * Take what many sessions have applied, and prolong their leases: one statement for all. Versions only rise within a session, and
 * those of networks in which the host has nothing are passed over. Answers the hosts whose session is still the newest; of others
 * nothing is written.
 */
export async function takeVersions(db: Kysely<unknown>, sessions: readonly SessionVersions[]): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{ of_host: string }>`SELECT of_host FROM take_versions(${versionsOf(sessions)})`.execute(db);
  return new Set(rows.map((row) => row.of_host));
}

/**
 * The same of those whose hosts nobody is writing at this moment, and whether their session was still the newest. The others are left out:
 * nobody is waited for.
 */
export async function takeIdleVersions(db: Kysely<unknown>, sessions: readonly SessionVersions[]): Promise<ReadonlyMap<string, boolean>> {
  const { rows } = await sql<{ of_host: string; live: boolean }>`
    SELECT of_host, live FROM take_idle_versions(${versionsOf(sessions)})`.execute(db);
  return new Map(rows.map((row) => [row.of_host, row.live]));
}

/** As the arguments of the two functions. */
function versionsOf(sessions: readonly SessionVersions[]): RawBuilder<unknown> {
  const networks = sessions.flatMap(({ hostId, networks: own }) =>
    [...own].map(([networkId, version]) => ({ hostId, networkId, version })),
  );
  return sql`
    ${sessions.map((s) => s.hostId)}::text[], ${sessions.map((s) => s.epoch)}::bigint[], ${sessions.map((s) => s.hostVersion)}::bigint[],
    ${networks.map((n) => n.hostId)}::text[], ${networks.map((n) => n.networkId)}::bigint[], ${networks.map((n) => n.version)}::bigint[]`;
}

/**
 * A host's certificate is renewed, perhaps for another key: from now on that one is the host's, and the one before
 * it may still be what the host has. NOT_FOUND: no such host. PERMISSION_DENIED (HOST_BARRED). ALREADY_EXISTS (NAME_TAKEN): another host
 * has the key.
 */
export async function renewKey(tx: Tx, hostId: string, keyFingerprint: string): Promise<void> {
  try {
    const { rows } = await sql`
      UPDATE host SET key_fingerprint = ${keyFingerprint},
                      previous_key_fingerprint = CASE WHEN key_fingerprint = ${keyFingerprint} THEN previous_key_fingerprint ELSE key_fingerprint END
      WHERE host_id = ${hostId} AND bar_time IS NULL RETURNING 1`.execute(tx);
    if (rows.length === 0) throw await refusalOfHost(tx, hostId);
  } catch (error) {
    throw violatedConstraint(error)?.constraint === HOST_KEY ? keyTaken(keyFingerprint) : error;
  }
}
