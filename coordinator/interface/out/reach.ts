import { sql } from "kysely";
import { NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import type { Tx } from "../../call/api.ts";
import type { HostFacts, ReachFacts } from "../core/conditions.ts";
import { awaitedHosts } from "../core/force.ts";
import type { Watcher } from "../core/force.ts";
import type { InstanceDirectory, PlacedHost, Reader } from "../ports.ts";
import { prefixOf } from "../core/items.ts";
import { networkScope } from "./changes.ts";
import { together } from "./together.ts";
import type { AttachmentRow } from "./rows.ts";

/** How far the connected hosts of one network are. */
export interface NetworkProgress {
  /** Newest version of the network; 0 when no host watches it. */
  readonly level: bigint;
  /** Connected hosts that are to carry an attachment in it, and the version that each has applied (0: none in this session). */
  readonly applied: ReadonlyMap<string, bigint>;
  /** All hosts that have, or may have, an attachment in it. */
  readonly watchers: readonly Watcher[];
}

/** Hosts by id as facts of this moment, and the networks' progress. */
export interface Observation {
  readonly hosts: ReadonlyMap<string, HostFacts & PlacedHost>;
  readonly networks: ReadonlyMap<bigint, NetworkProgress>;
}

/** The same for whoever decides on it: only hosts that stay silent until the transaction ends count as silent. */
export async function observeHeld(tx: Tx, directory: InstanceDirectory, rows: readonly AttachmentRow[]): Promise<Observation> {
  const seen = await observe(tx, directory, rows);
  const held = await directory.holdSilent(
    tx,
    [...seen.hosts.values()].filter((host) => host.silent).map((host) => host.hostId),
  );
  const silent = (hostId: string): boolean => held.has(hostId) || !seen.hosts.has(hostId);
  return {
    hosts: new Map([...seen.hosts].map(([id, host]) => [id, { ...host, silent: silent(id) }])),
    networks: new Map(
      [...seen.networks].map(([id, progress]) => [
        id,
        { ...progress, watchers: progress.watchers.map((one) => ({ ...one, silent: silent(one.hostId) })) },
      ]),
    ),
  };
}

/** Look at the hosts of these attachments, and at those of their networks. */
export async function observe(db: Reader, directory: InstanceDirectory, rows: readonly AttachmentRow[]): Promise<Observation> {
  const own = rows.flatMap((row) => row.host_id ?? []);
  const networkIds = [...new Set(rows.filter((row) => row.host_id !== null).map((row) => row.network_id))];
  if (networkIds.length === 0) return { hosts: new Map(), networks: new Map() };
  const watchers = sql<{ network_id: bigint; host_id: string; watches: boolean; level: bigint | null }>`
    SELECT network_id, host_id, watches, version AS level FROM (
      SELECT network_id, host_id, bool_or(watches) AS watches FROM (
        SELECT network_id, host_id, wanted = 1 AS watches FROM attachment
        WHERE network_id = ANY(${networkIds}::bigint[]) AND host_id IS NOT NULL AND state <> 4
        UNION ALL
        SELECT network_id, host_id, false FROM attachment_residue WHERE network_id = ANY(${networkIds}::bigint[])
      ) AS had GROUP BY network_id, host_id
    ) AS watching LEFT JOIN scope ON scope = 'network:' || network_id`;
  const [{ rows: watching }, versions] = await together(
    db,
    () => watchers.execute(db),
    () => directory.networkVersions(db, networkIds),
  );
  const hosts = await directory.hosts(db, [...own, ...watching.map((row) => row.host_id)]);
  const byNetwork = Map.groupBy(watching, (row) => row.network_id);
  const networks = networkIds.map((id): [bigint, NetworkProgress] => {
    const all = byNetwork.get(id) ?? [];
    // A host whose every attachment there is on its way out applies no further version: nobody waits for it.
    const connected = all.filter((row) => row.watches && hosts.get(row.host_id)?.connected === true);
    const applied = new Map(connected.map((row) => [row.host_id, versions.get(`${row.host_id} ${id}`) ?? 0n]));
    const watchers = all.map(({ host_id: hostId }) => ({
      hostId,
      silent: hosts.get(hostId)?.silent ?? true,
      applied: versions.get(`${hostId} ${id}`) ?? 0n,
    }));
    return [id, { level: all[0]?.level ?? 0n, applied, watchers }];
  });
  return { hosts, networks: new Map(networks) };
}

/** Which connected hosts of the network lack `version`. */
export function reachOf(progress: NetworkProgress, version: bigint): ReachFacts {
  const behind = [...progress.applied].filter(([, applied]) => applied < version).map(([hostId]) => hostId);
  return { watching: progress.applied.size, behind: behind.sort() };
}

/** Whom the forced end of an attachment waits for; undefined: it is not forced. */
export function forceFacts(row: AttachmentRow, seen: Observation): ReachFacts | undefined {
  const progress = seen.networks.get(row.network_id);
  if (row.forced_version === null || row.host_id === null || progress === undefined) return undefined;
  const behind = awaitedHosts(row.host_id, progress.watchers, neededVersion(row, progress));
  return { watching: progress.watchers.filter((one) => !one.silent).length, behind };
}

/** The version without the mappings. Forced a moment ago: the newest now, since its removal was committed with that at the latest. */
export function neededVersion(row: AttachmentRow, progress: NetworkProgress): bigint {
  return row.forced_version === null || row.forced_version === 0n ? progress.level : row.forced_version;
}

const MAX_LOOK = 256;

/**
 * The newest version of the network that concerns one of these addresses and that some connected host lacks; 0 when there is none.
 * With more than 256 changes to look through: the network's newest (too strict, never too lax).
 */
export async function versionThatMatters(
  db: Reader,
  networkId: bigint,
  progress: NetworkProgress,
  addresses: readonly string[],
): Promise<bigint> {
  const slowest = [...progress.applied.values()].reduce((least, version) => (version < least ? version : least), progress.level);
  if (slowest >= progress.level) return 0n;
  if (progress.level - slowest > BigInt(MAX_LOOK)) return progress.level;
  const { rows } = await sql<{ version: bigint; payload: Buffer }>`
    SELECT version, payload FROM change WHERE scope = ${networkScope(networkId)} AND version > ${slowest} ORDER BY version DESC`.execute(
    db,
  );
  if (BigInt(rows.length) < progress.level - slowest) return progress.level; // trimmed
  const prefixes = new Set(addresses.map(prefixOf));
  const concerns = (payload: Buffer): boolean => NetworkChange.decode(payload).items.some((item) => prefixes.has(item.prefix));
  return rows.find((row) => concerns(row.payload))?.version ?? 0n;
}
