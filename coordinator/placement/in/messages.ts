import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { Condition } from "#gen/plenum/common/v1/common.ts";
import type { Instance } from "#gen/plenum/compute/v1/instance.ts";
import { HostState } from "#gen/plenum/host/v1/host.ts";
import type { Host } from "#gen/plenum/host/v1/host.ts";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import { etagOf } from "../../call/api.ts";
import type { Sight } from "../../call/api.ts";
import { failureSeenBy, standingOfInstances } from "../../interface/api.ts";
import type { Reader } from "../../interface/api.ts";
import { hostConditions } from "../core/host-conditions.ts";
import { runs, stateName } from "../core/instance-state.ts";
import { hostDetails, readHosts } from "../out/host-store.ts";
import type { HostRow } from "../out/host-store.ts";
import type { InstanceRow } from "../out/instance-store.ts";

const { TRUE, FALSE, UNKNOWN } = ConditionStatus;

/** "Running": what its host last said of it, as the viewer may know it. */
function running(viewer: Sight["subject"], row: InstanceRow, host: HostRow | undefined): Pick<Condition, "status" | "reason" | "message"> {
  if (host?.barred === true) {
    const remedy = runs(row.state) ? "what runs there may go on: stop or terminate it with force" : "it ends there with force";
    return { status: UNKNOWN, reason: "HostBarred", message: `its host was barred by an operator, and is not believed; ${remedy}` };
  }
  if (!runs(row.state)) {
    if (row.host_id !== null && host?.connected !== true) {
      return {
        status: UNKNOWN,
        reason: "HostDisconnected",
        message: "its host is silent; the instance ends when the host is back and says so",
      };
    }
    return { status: FALSE, reason: "NotWanted", message: `the instance is ${stateName(row.state)}` };
  }
  if (host?.connected !== true)
    return { status: UNKNOWN, reason: "HostDisconnected", message: "its host is silent; what runs there goes on running" };
  if (row.applied_generation !== row.generation)
    return { status: FALSE, reason: "WaitingForHost", message: "its host has not yet said that it runs" };
  if (row.applied_state === AppliedState.FAILED) {
    const why = failureSeenBy(viewer, row.applied_message);
    return { status: FALSE, reason: "HostFailed", message: `its host could not and goes on trying: ${why}` };
  }
  if (row.applied_state !== AppliedState.PRESENT)
    return { status: FALSE, reason: "WaitingForHost", message: "its host has not yet said that it runs" };
  if (row.argv.length > 0 && !row.process_running) {
    return {
      status: FALSE,
      reason: "ProcessEnded",
      message: row.applied_message === "" ? "its process is not running" : row.applied_message,
    };
  }
  return { status: TRUE, reason: "Applied", message: viewer.kind === "operator" ? row.applied_message : "" };
}

/** Instances as callers see them, in the order of the rows. */
export async function instanceMessages(db: Reader, viewer: Sight["subject"], rows: readonly InstanceRow[]): Promise<Instance[]> {
  const hosts = await readHosts(db, [...new Set(rows.flatMap((row) => row.host_id ?? []))]);
  const attached = await standingOfInstances(
    db,
    rows.map((row) => row.instance_id),
  );
  return rows.map((row) => ({
    instanceId: row.instance_id,
    ownerAccount: row.owner_account,
    name: row.name,
    driver: row.driver,
    process: row.argv.length === 0 ? undefined : { argv: [...row.argv], env: { ...row.env } },
    zoneId: row.zone_id,
    hostId: row.host_id ?? "",
    state: row.state,
    conditions: [
      {
        type: "Running",
        ...running(viewer, row, row.host_id === null ? undefined : hosts.get(row.host_id)),
        observedGeneration: row.applied_generation,
        lastTransitionTime: row.applied_time ?? row.state_time,
      },
    ],
    generation: row.generation,
    etag: etagOf(row.row_version),
    createTime: row.create_time,
    createdBy: row.created_by,
    actsAs: row.acts_as,
    attachmentIds: [...(attached.get(row.instance_id)?.attachmentIds ?? [])],
    tags: { ...row.tags },
    netnsPath: viewer.kind === "operator" ? row.netns_path : "",
  }));
}

function stateOf({ bar_time, connected }: HostRow): HostState {
  if (bar_time !== null) return HostState.BARRED;
  return connected ? HostState.CONNECTED : HostState.DISCONNECTED;
}

/** Hosts as operators see them, in the order of the rows. */
export async function hostMessages(db: Reader, rows: readonly HostRow[]): Promise<Host[]> {
  const details = await hostDetails(
    db,
    rows.map((row) => row.host_id),
  );
  return rows.map((row) => {
    const more = details.get(row.host_id);
    return {
      hostId: row.host_id,
      name: row.name,
      zoneId: row.zone_id,
      substrateAddress: row.substrate_address,
      state: stateOf(row),
      conditions: hostConditions({
        connected: row.connected,
        sessionEpoch: row.session_epoch,
        lastSeen: row.last_seen,
        createTime: row.create_time,
        deviceReady: row.device_ready,
        tunnelReady: row.tunnel_ready,
        substrateMessage: row.substrate_message,
        substrateTime: row.substrate_time,
        barTime: row.bar_time,
        barReason: row.bar_reason,
      }),
      sessionEpoch: row.session_epoch,
      lastSeenTime: row.last_seen ?? undefined,
      instanceCount: more?.instances ?? 0,
      createTime: row.create_time,
      schedulable: row.schedulable,
      capacity: { maxInstances: row.max_instances ?? 0, maxAttachments: row.max_attachments ?? 0 },
      wantedVersion: more?.wanted ?? 0n,
      appliedVersion: row.applied_version,
      hostDropsByReason: Object.fromEntries(Object.entries(more?.drops ?? {}).map(([reason, packets]) => [reason, BigInt(packets)])),
    };
  });
}
