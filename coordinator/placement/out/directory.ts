import { sql } from "kysely";
import type { Tx } from "../../call/api.ts";
import type { HostFacts, InstanceDirectory, LockedInstance, PlacedHost, Reader } from "../../interface/api.ts";
import { attachable, runs, stateName } from "../core/instance-state.ts";
import { holdSilent, hostsInJson, readHosts, readHostsAsJson } from "./host-store.ts";
import type { HostColumns } from "./host-store.ts";
import { lockPlacedInstances } from "./instance-store.ts";
import type { InstanceRow, PlacedInstanceRow } from "./instance-store.ts";

function factsOf(row: HostColumns): HostFacts & PlacedHost {
  return {
    hostId: row.host_id,
    zoneId: row.zone_id,
    substrateAddress: row.substrate_address,
    connected: row.connected,
    silent: row.silent,
    barred: row.barred,
    lastSeen: row.last_seen ?? undefined,
    leaseEnd: row.lease_end ?? undefined,
    cutOff: row.connected && (row.device_ready === false || row.tunnel_ready === false),
  };
}

async function hosts(db: Reader, hostIds: readonly string[]): Promise<ReadonlyMap<string, HostFacts & PlacedHost>> {
  const rows = await readHosts(db, [...new Set(hostIds)]);
  return new Map([...rows].map(([id, row]) => [id, factsOf(row)]));
}

/** A locked row as the interface module sees it. */
export function lockedInstance(row: InstanceRow, host: PlacedHost | undefined): LockedInstance {
  return {
    instanceId: row.instance_id,
    ownerAccount: row.owner_account,
    zoneId: row.zone_id,
    state: stateName(row.state),
    attachable: attachable(row.state),
    host: runs(row.state) ? host : undefined,
  };
}

function placedHost(row: PlacedInstanceRow): PlacedHost | undefined {
  if (row.host_id === null || row.host_zone === null || row.host_address === null) return undefined;
  return { hostId: row.host_id, zoneId: row.host_zone, substrateAddress: row.host_address };
}

/** What interfaces need to know of instances and hosts. */
export const instanceDirectory: InstanceDirectory = {
  async lock(tx: Tx, instanceIds) {
    const rows = await lockPlacedInstances(tx, instanceIds);
    return new Map(
      rows.map((row) => {
        const locked = lockedInstance(row, placedHost(row));
        return [row.instance_id, row.host_barred ? { ...locked, attachable: false, state: "HOST_BARRED" } : locked];
      }),
    );
  },
  async owners(db, instanceIds) {
    const { rows } = await sql<{ instance_id: string; owner_account: string }>`
      SELECT instance_id, owner_account FROM instance WHERE instance_id = ANY(${instanceIds}::text[])`.execute(db);
    return new Map(rows.map((row) => [row.instance_id, row.owner_account]));
  },
  hosts,
  hostsQuery: readHostsAsJson,
  hostsIn: (answer) => new Map(hostsInJson(answer).map((row) => [row.host_id, factsOf(row)])),
  holdSilent,
  networkVersions: sql`host_network_version`,
};
