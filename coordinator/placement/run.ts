import { Status } from "nice-grpc-common";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { newId } from "#lib/ids/ids.ts";
import { invalidArgument, notFound, PlenumError } from "#lib/rpc/errors.ts";
import type { WriteCall } from "../call/api.ts";
import { principalRef, requireAccount, requireActor } from "../identity/api.ts";
import type { Operations } from "../identity/api.ts";
import { attachInterfaces, createInterfaces, instanceRef, interfaceZones, requireAttachable, tellHost } from "../interface/api.ts";
import type { WantedAttachment } from "../interface/api.ts";
import { requireZone } from "../topology/api.ts";
import type { CheckedRun, RunInterface } from "./in/run-request.ts";
import { instanceItem } from "./core/items.ts";
import { hostRef } from "./core/refs.ts";
import { OPERATION } from "./lifecycle.ts";
import { pickHost } from "./pick-host.ts";
import { lockedInstance, instanceDirectory } from "./out/directory.ts";
import type { FreeHost } from "./out/host-store.ts";
import { insertInstance } from "./out/instance-store.ts";
import type { InstanceRow } from "./out/instance-store.ts";

/** Whose it is to be. An operator names the account; others own what they run. */
async function ownerOf(call: WriteCall, wanted: string): Promise<string> {
  const owner = wanted === "" ? call.subject.accountId : wanted;
  if (owner === undefined) throw invalidArgument("owner_account", "is missing", "an operator names the account that will own the instance");
  return owner;
}

/** Make the records that are to be made, and go on with the ids of all, in order of device. */
async function withInterfaces<Result>(
  call: WriteCall,
  interfaces: readonly RunInterface[],
  goOn: (ids: readonly string[]) => Promise<Result>,
): Promise<Result> {
  const fresh = interfaces.flatMap((one) => (one.kind === "new" ? [{ spec: one.spec, path: `${one.path}.create` }] : []));
  const all = (made: readonly string[]): string[] => {
    const left = [...made];
    return interfaces.map((one) => (one.kind === "existing" ? one.interfaceId : (left.shift() ?? "")));
  };
  return fresh.length === 0 ? goOn(all([])) : createInterfaces(call, fresh, (made) => goOn(all(made)));
}

/**
 * Make an instance with its interfaces, and place it unless it is to stay stopped: one transaction. NOT_FOUND (account, zone, host,
 * interface, subnet), FAILED_PRECONDITION (NO_INTERFACE, NO_HOST, ALREADY_ATTACHED, ADDRESS_IN_USE).
 */
export async function runInstance(call: WriteCall, operations: Operations, wanted: CheckedRun): Promise<InstanceRow> {
  const ownerAccount = await ownerOf(call, wanted.ownerAccount);
  const instanceId = newId("i");
  call.require("compute:RunInstance", { kind: "account", id: ownerAccount, ownerAccount });
  await requireAccount(call.tx, ownerAccount);
  if (wanted.zoneId !== "") await requireZone(call.tx, wanted.zoneId);
  if (wanted.hostId !== "") {
    call.require("compute:ChooseHost", hostRef(wanted.hostId));
    if (!(await instanceDirectory.hosts(call.tx, [wanted.hostId])).has(wanted.hostId)) throw notFound("host", wanted.hostId);
  }
  if (!wanted.stopped && wanted.interfaces.length === 0) {
    const description = "is empty, and an instance cannot start without an interface: give interfaces, or stopped = true";
    throw new PlenumError({
      code: Status.FAILED_PRECONDITION,
      reason: "NO_INTERFACE",
      message: `interfaces ${description}`,
      facts: { field: "interfaces" },
      violations: [{ field: "interfaces", description }],
    });
  }
  call.concerns(instanceRef({ instanceId, ownerAccount }));
  if (wanted.actsAs !== "") {
    const actor = { accountId: ownerAccount, principalId: wanted.actsAs };
    await requireActor(call, actor);
    call.concerns(principalRef(actor));
  }
  // Asked before they are locked, and before anything is said of where they could run.
  await requireAttachable(
    call,
    wanted.interfaces.flatMap((one) => (one.kind === "existing" ? [one.interfaceId] : [])),
  );
  return withInterfaces(call, wanted.interfaces, (ids) => place(call, operations, wanted, { instanceId, ownerAccount, ids }));
}

/** The same, where its records are there. */
async function place(
  call: WriteCall,
  operations: Operations,
  wanted: CheckedRun,
  { instanceId, ownerAccount, ids }: { instanceId: string; ownerAccount: string; ids: readonly string[] },
): Promise<InstanceRow> {
  const zones = [wanted.zoneId, ...(await interfaceZones(call.tx, ids))];
  const host: FreeHost | undefined = wanted.stopped
    ? undefined
    : await pickHost(call, { zones, hostId: wanted.hostId === "" ? undefined : wanted.hostId, attachments: ids.length });
  const operationId = await operations.createOperation(call, { kind: OPERATION.run, subjectId: instanceId, ownerAccount });
  const row = await insertInstance(call.tx, {
    instance_id: instanceId,
    owner_account: ownerAccount,
    created_by: call.subject.principalId,
    name: wanted.name,
    driver: wanted.driver,
    argv: wanted.argv,
    env: wanted.env,
    tags: wanted.tags,
    zone_id: wanted.zoneId,
    fixed_host_id: wanted.hostId === "" ? null : wanted.hostId,
    host_id: host?.hostId ?? null,
    state: host === undefined ? InstanceState.STOPPED : InstanceState.PENDING,
    operation_id: operationId,
    acts_as: wanted.actsAs,
  });
  if (host === undefined) await operations.finishOperation(call, instanceId, [OPERATION.run], "SUCCEEDED");
  else tellHost(call, host.hostId, [instanceItem(row)]);
  const attachments = wanted.interfaces.map((one, index): WantedAttachment => ({
    interfaceId: ids[index] ?? "",
    instanceId,
    deviceIndex: index,
    deleteOnTerminate: one.deleteOnTerminate,
    path: one.path,
  }));
  if (attachments.length > 0)
    await attachInterfaces(call, instanceDirectory, attachments, new Map([[instanceId, lockedInstance(row, host)]]));
  return row;
}
