import { sql } from "kysely";
import type { RawBuilder } from "kysely";
import { NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import type { Tx } from "../../call/api.ts";
import type { HostFacts, ReachFacts } from "../core/conditions.ts";
import { awaitedHosts } from "../core/force.ts";
import type { Watcher } from "../core/force.ts";
import type { InstanceDirectory, PlacedHost, Reader } from "../ports.ts";
import { prefixOf } from "../core/items.ts";
import { networkScope } from "./changes.ts";
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

/** Part of a larger statement: jsonb for {@link observationIn}. SQL of a bigint[] and of a text[]. */
export function observationQuery(
  directory: InstanceDirectory,
  networkIds: RawBuilder<unknown>,
  hostIds: RawBuilder<unknown>,
): RawBuilder<unknown> {
  return sql`
    WITH watching AS MATERIALIZED (
      SELECT network_id, host_id, bool_or(watches) AS watches FROM (
        SELECT network_id, host_id, wanted = 1 AS watches FROM attachment
        WHERE network_id = ANY(${networkIds}) AND host_id IS NOT NULL AND state <> 4
        UNION ALL
        SELECT network_id, host_id, false FROM attachment_residue WHERE network_id = ANY(${networkIds})
      ) AS had GROUP BY network_id, host_id
    )
    SELECT jsonb_build_object(
      'watching', (
        SELECT jsonb_agg(jsonb_build_object('networkId', w.network_id::text, 'hostId', w.host_id, 'watches', w.watches,
                                            'level', level.version::text, 'applied', applied.version::text))
        FROM watching w LEFT JOIN scope AS level ON level.scope = 'network:' || w.network_id
        LEFT JOIN ${directory.networkVersions} AS applied ON applied.network_id = w.network_id AND applied.host_id = w.host_id),
      'hosts', (${directory.hostsQuery(sql`ARRAY(SELECT host_id FROM watching UNION SELECT unnest(${hostIds}))`)}))`;
}

interface Watching {
  readonly networkId: string;
  readonly hostId: string;
  readonly watches: boolean;
  readonly level: string | null;
  readonly applied: string | null;
}

/** What the part's answer says of these networks. */
export function observationIn(directory: InstanceDirectory, answer: unknown, networkIds: readonly bigint[]): Observation {
  const { watching, hosts: facts } = answer as { watching: Watching[] | null; hosts: unknown };
  const hosts = directory.hostsIn(facts);
  const byNetwork = Map.groupBy(watching ?? [], (row) => row.networkId);
  const networks = networkIds.map((id): [bigint, NetworkProgress] => {
    const all = (byNetwork.get(id.toString()) ?? []).map((row) => ({ ...row, applied: BigInt(row.applied ?? 0) }));
    // A host whose every attachment there is on its way out applies no further version: nobody waits for it.
    const connected = all.filter((row) => row.watches && hosts.get(row.hostId)?.connected === true);
    const applied = new Map(connected.map((row) => [row.hostId, row.applied]));
    const watchers = all.map((row) => ({ hostId: row.hostId, silent: hosts.get(row.hostId)?.silent ?? true, applied: row.applied }));
    return [id, { level: BigInt(all[0]?.level ?? 0), applied, watchers }];
  });
  return { hosts, networks: new Map(networks) };
}

/** The networks in which these attachments are on a host. */
export const networksOf = (rows: readonly AttachmentRow[]): bigint[] => [
  ...new Set(rows.filter((row) => row.host_id !== null).map((row) => row.network_id)),
];

/** Look at the hosts of these attachments, and at those of their networks. */
export async function observe(db: Reader, directory: InstanceDirectory, rows: readonly AttachmentRow[]): Promise<Observation> {
  const networkIds = networksOf(rows);
  if (networkIds.length === 0) return { hosts: new Map(), networks: new Map() };
  const own = rows.flatMap((row) => row.host_id ?? []);
  const query = observationQuery(directory, sql`${networkIds}::bigint[]`, sql`${own}::text[]`);
  const { rows: answers } = await sql<{ seen: unknown }>`SELECT (${query}) AS seen`.execute(db);
  return observationIn(directory, answers[0]?.seen, networkIds);
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

/** What of a network some connected host lacks: the newest version that concerns one of these addresses, 0 when there is none. */
export type VersionsLacked = (addresses: readonly string[]) => bigint;

/**
 * Read what a network changed since its slowest connected host. With more than 256 changes to look through: the network's newest counts
 * for every address (too strict, never too lax).
 */
export async function versionsLacked(db: Reader, networkId: bigint, { applied, level }: NetworkProgress): Promise<VersionsLacked> {
  const slowest = [...applied.values()].reduce((least, version) => (version < least ? version : least), level);
  if (slowest >= level) return () => 0n;
  if (level - slowest > BigInt(MAX_LOOK)) return () => level;
  const { rows } = await sql<{ version: bigint; payload: Buffer }>`
    SELECT version, payload FROM change WHERE scope = ${networkScope(networkId)} AND version > ${slowest} ORDER BY version`.execute(db);
  if (BigInt(rows.length) < level - slowest) return () => level; // trimmed
  const newest = new Map<string, bigint>();
  for (const { version, payload } of rows) for (const { prefix } of NetworkChange.decode(payload).items) newest.set(prefix, version);
  return (addresses) => {
    const versions = addresses.map((address) => newest.get(prefixOf(address)) ?? 0n);
    return versions.reduce((most, version) => (version > most ? version : most), 0n);
  };
}
