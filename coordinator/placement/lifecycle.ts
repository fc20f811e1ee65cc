import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { failedPrecondition, notFound } from "#lib/rpc/errors.ts";
import type { WriteCall } from "../call/api.ts";
import type { Operations } from "../identity/api.ts";
import {
  detachAllOf,
  instanceRef,
  interfaceZones,
  placeAttachments,
  standingOfInstances,
  tellHost,
  unplaceAttachments,
} from "../interface/api.ts";
import { forceInstance } from "./force.ts";
import { pickHost } from "./pick-host.ts";
import { applied, settle, start, stateName, stop, terminate } from "./core/instance-state.ts";
import type { InstanceStanding, Step } from "./core/instance-state.ts";
import { closeActing } from "./out/acting-store.ts";
import { standing } from "./out/instance-store.ts";
import { instanceItem } from "./core/items.ts";
import { lockInstances, moveInstance, readInstance } from "./out/instance-store.ts";
import type { Heard, InstanceRow } from "./out/instance-store.ts";

/** Kinds of operations about an instance: the RPCs' names. */
export const OPERATION = { run: "RunInstance", start: "StartInstance", stop: "StopInstance", terminate: "TerminateInstance" } as const;
const STARTING = [OPERATION.run, OPERATION.start];
const ALL = Object.values(OPERATION);

/**
 * The instance, locked, with the caller's right to `action` checked. `closing`: what it is allowed as somebody else is to end with this call,
 * which therefore waits for its writes that got there first.
 */
export async function lockFor(call: WriteCall, instanceId: string, action: string, closing = false): Promise<InstanceRow> {
  const seen = await readInstance(call.tx, instanceId);
  if (seen === undefined) throw notFound("instance", instanceId);
  // Asked before it is locked: a stranger's call must not make others wait.
  call.require(action, instanceRef({ instanceId, ownerAccount: seen.owner_account }));
  if (closing) await closeActing(call.tx, instanceId);
  const row = (await lockInstances(call.tx, [instanceId])).get(instanceId);
  if (row === undefined) throw notFound("instance", instanceId);
  return row;
}

/** Throws FAILED_PRECONDITION (WRONG_STATE). */
export function refuse(row: InstanceRow, verb: string): never {
  const state = stateName(row.state);
  const remedy = row.state === InstanceState.STOPPING ? "wait until it is STOPPED" : "run another instance";
  throw failedPrecondition("WRONG_STATE", `${row.instance_id} is ${state} and cannot be ${verb}: ${remedy}`, { state });
}

const nextOf = (step: Step): InstanceStanding | undefined => (step.kind === "move" ? step.next : undefined);

/** End what was under way for another aim, begin the new operation. */
async function begin(call: WriteCall, operations: Operations, row: InstanceRow, kind: string, instead: readonly string[]): Promise<string> {
  await operations.finishOperation(call, row.instance_id, instead, "FAILED", `overtaken by ${kind}`);
  return operations.createOperation(call, { kind, subjectId: row.instance_id, ownerAccount: row.owner_account });
}

/** Start it, on its host or another. Answers it as it is at the commit. */
export async function startInstance(call: WriteCall, operations: Operations, instanceId: string): Promise<InstanceRow> {
  const row = await lockFor(call, instanceId, "compute:StartInstance");
  const step = start(standing(row), "");
  if (step.kind === "refused") refuse(row, "started");
  if (step.kind === "stays") return row;
  const attachments = (await standingOfInstances(call.tx, [instanceId])).get(instanceId);
  if (attachments === undefined || attachments.lasting === 0) {
    throw failedPrecondition("NO_INTERFACE", `${instanceId} has no interface: attach one first`, { instance_id: instanceId });
  }
  const zones = [row.zone_id, ...(await interfaceZones(call.tx, attachments.interfaceIds))];
  const host = await pickHost(call, { zones, hostId: row.fixed_host_id ?? undefined, attachments: attachments.attachmentIds.length });
  const next = nextOf(start(standing(row), host.hostId));
  if (next === undefined) throw new Error("what could start cannot");
  const operationId = await begin(call, operations, row, OPERATION.start, []);
  const moved = await moveInstance(call.tx, row, next, { operationId });
  tellHost(call, host.hostId, [instanceItem(moved)]);
  await placeAttachments(call, instanceId, host);
  return moved;
}

/** Stop it; its interfaces stay attached. `force`: without the word of a host whose lease has ended. */
export async function stopInstance(call: WriteCall, operations: Operations, instanceId: string, force = false): Promise<InstanceRow> {
  const row = await lockFor(call, instanceId, "compute:StopInstance", true);
  const step = stop(standing(row));
  if (step.kind === "refused") refuse(row, "stopped");
  const next = nextOf(step);
  if (next === undefined) return force ? forceInstance(call, row) : row;
  const operationId = await begin(call, operations, row, OPERATION.stop, STARTING);
  const moved = await moveInstance(call.tx, row, next, { operationId });
  if (next.hostId !== null) tellHost(call, next.hostId, [instanceItem(moved)]);
  await unplaceAttachments(call, instanceId);
  return force ? forceInstance(call, moved) : moved;
}

/** End it for good, with its interfaces where that was asked for (N11). */
export async function terminateInstance(call: WriteCall, operations: Operations, instanceId: string, force = false): Promise<InstanceRow> {
  const row = await lockFor(call, instanceId, "compute:TerminateInstance", true);
  const next = nextOf(terminate(standing(row)));
  if (next === undefined) return force ? forceInstance(call, row) : row;
  const operationId = await begin(call, operations, row, OPERATION.terminate, ALL);
  const moved = await moveInstance(call.tx, row, next, { operationId });
  if (next.hostId !== null && next.generation !== row.generation) tellHost(call, next.hostId, [instanceItem(moved)]);
  await detachAllOf(call, instanceId);
  if (next.state === InstanceState.TERMINATED) await operations.finishOperation(call, instanceId, [OPERATION.terminate], "SUCCEEDED");
  return force ? forceInstance(call, moved) : moved;
}

/** What a host said of one instance. */
export interface InstanceSaid extends Heard {
  readonly instanceId: string;
  readonly generation: bigint;
  readonly state: number;
}

const news = (row: InstanceRow, one: InstanceSaid): boolean =>
  row.applied_generation !== one.generation ||
  row.applied_state !== one.state ||
  row.applied_message !== one.message ||
  row.netns_path !== one.netnsPath ||
  row.process_running !== one.processRunning;

/** It is on no host any more: STOPPED or TERMINATED, and the operation that asked for it is done. */
export async function leaveHost(call: WriteCall, operations: Operations, row: InstanceRow, next: InstanceStanding): Promise<void> {
  await moveInstance(call.tx, row, next);
  const kinds = next.state === InstanceState.STOPPED ? [OPERATION.stop] : [OPERATION.terminate];
  await operations.finishOperation(call, row.instance_id, kinds, "SUCCEEDED");
}

/**
 * Take a host's statuses of instances that are locked (C5), after those of their attachments: only when both are gone is an instance
 * off its host. Stale ones change nothing.
 */
export async function applyInstanceStatuses(
  call: WriteCall,
  operations: Operations,
  hostId: string,
  locked: ReadonlyMap<string, InstanceRow>,
  said: readonly InstanceSaid[],
): Promise<void> {
  const rows = new Map([...locked].filter(([, row]) => row.host_id === hostId));
  for (const one of said) {
    const row = rows.get(one.instanceId);
    const next = row === undefined ? undefined : applied(standing(row), { generation: one.generation, state: one.state as 0 | 1 | 2 | 3 });
    if (row === undefined || next === undefined || (next.state === row.state && !news(row, one))) continue;
    rows.set(one.instanceId, await moveInstance(call.tx, row, next, { heard: one }));
    if (next.state === InstanceState.RUNNING && row.state !== next.state)
      await operations.finishOperation(call, one.instanceId, STARTING, "SUCCEEDED");
  }
  const going = [...rows.values()].filter((row) => settle(standing(row), 0) !== undefined);
  const attached = await standingOfInstances(
    call.tx,
    going.map((row) => row.instance_id),
  );
  for (const row of going) {
    const next = settle(standing(row), attached.get(row.instance_id)?.placed ?? 0);
    if (next === undefined) continue;
    await leaveHost(call, operations, row, next);
  }
}
