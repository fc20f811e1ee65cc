import { afterAll, beforeAll, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState, InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import { lose, scene } from "./force-scene.ts";
import { refusalOfCall } from "./refusal.ts";
import { Watcher } from "./watcher.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// N14: the state of a record, and why.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const STATES = [InterfaceState.AVAILABLE, InterfaceState.IN_USE, InterfaceState.DISABLED, InterfaceState.IN_REPAIR];

/** A record's state, which the filter must say of it, and only that. */
async function stateOf(clients: Awaited<ReturnType<typeof scene>>["clients"], interfaceId: string) {
  const { interface: record } = await clients.interfaces.getInterface({ interfaceId });
  for (const state of STATES) {
    const { interfaces } = await clients.interfaces.listInterfaces({ filter: { state } });
    expect(interfaces.filter((one) => one.interfaceId === interfaceId).length, `in state ${state}`).toBe(record?.state === state ? 1 : 0);
  }
  return record;
}

test("a record whose host fails at it, or is silent, is in repair, and its conditions say why", async () => {
  const at = await scene(world);
  const carried = (record: Awaited<ReturnType<typeof stateOf>>) => record?.conditions.map((one) => [one.type, one.status, one.reason]);
  const well = await stateOf(at.clients, at.interfaceId);
  expect(well?.state).toBe(InterfaceState.IN_USE);
  expect(carried(well)?.[0]?.[0]).toBe("Carried");

  Object.assign(at.lost.behaviour, { present: AppliedState.FAILED, message: "no room" });
  at.lost.acknowledge();
  await expect.poll(async () => (await stateOf(at.clients, at.interfaceId))?.state).toBe(InterfaceState.IN_REPAIR);
  const failing = await stateOf(at.clients, at.interfaceId);
  expect(carried(failing)).toEqual([["Carried", ConditionStatus.FALSE, "HostFailed"]]);
  expect(failing?.conditions[0]?.message).toContain(failing?.attachments[0]?.attachmentId);
  Object.assign(at.lost.behaviour, { present: AppliedState.PRESENT, message: "" });
  at.lost.acknowledge();
  await expect.poll(async () => (await stateOf(at.clients, at.interfaceId))?.state).toBe(InterfaceState.IN_USE);

  await lose(world, at, 20);
  const silent = await stateOf(at.clients, at.interfaceId);
  expect(silent?.state).toBe(InterfaceState.IN_REPAIR);
  expect(carried(silent)).toEqual([["Carried", ConditionStatus.UNKNOWN, "HostDisconnected"]]);
});

test("a watch by state follows what hosts say and that they fall silent, and begins anew when it is resumed", async () => {
  const at = await scene(world);
  const ids = (watcher: Watcher) => [...watcher.records.keys()];
  const inUse = new Watcher(at.clients, { filter: { state: InterfaceState.IN_USE, instanceId: at.instanceId } });
  const inRepair = new Watcher(at.clients, { filter: { state: InterfaceState.IN_REPAIR } });
  const open = [inUse, inRepair];
  const moves = async (to: Watcher, from: Watcher) => {
    await to.until(() => to.records.has(at.interfaceId), 15_000);
    await from.until(() => !from.records.has(at.interfaceId), 15_000);
  };
  try {
    for (const watcher of open) await watcher.until(() => watcher.inSync && watcher.token !== "");
    expect(open.map(ids)).toEqual([[at.interfaceId], []]);

    Object.assign(at.lost.behaviour, { present: AppliedState.FAILED, message: "no room" });
    at.lost.acknowledge();
    await moves(inRepair, inUse);
    Object.assign(at.lost.behaviour, { present: AppliedState.PRESENT, message: "" });
    at.lost.acknowledge();
    await moves(inUse, inRepair);

    await lose(world, at, 20);
    await moves(inRepair, inUse);
    expect(inRepair.records.get(at.interfaceId)?.state).toBe(InterfaceState.IN_REPAIR);
    await world.age(at.lost.hostId, 0);
    await moves(inUse, inRepair);
    expect(inUse.records.get(at.interfaceId)?.state).toBe(InterfaceState.IN_USE);
    expect(open.flatMap((watcher) => watcher.kinds())).not.toContain("historyGone");

    await inUse.close();
    await lose(world, at, 20);
    const request = { filter: { state: InterfaceState.IN_USE, instanceId: at.instanceId }, resumeToken: inUse.token };
    const resumed = new Watcher(at.clients, request, inUse.records);
    open.push(resumed);
    await resumed.until(() => resumed.inSync);
    expect(resumed.kinds()[0]).toBe("historyGone");
    expect(ids(resumed)).toEqual([]);
  } finally {
    for (const watcher of open) await watcher.close();
  }
}, 90_000);

test("a disabled record keeps its attachment, tells its host, and cannot be attached while it is detached", async () => {
  const at = await scene(world);
  const { interfaceId, clients } = at;
  const set = (disabled: boolean) => clients.interfaces.updateInterface({ interface: { interfaceId, disabled }, updateMask: ["disabled"] });
  expect((await set(true)).interface).toMatchObject({ disabled: true, state: InterfaceState.DISABLED });
  const told = () => [...at.lost.attachments.values()].map((item) => [item.generation, item.disabled]);
  await expect.poll(told).toEqual([[2n, true]]);
  expect((await stateOf(clients, interfaceId))?.attachments).toMatchObject([{ state: AttachmentState.ATTACHED }]);
  await set(true); // nothing new: the host is not told again

  const stop = await clients.instances.stopInstance({ instanceId: at.instanceId });
  await world.finished(clients, stop.operation?.operationId);
  const start = await clients.instances.startInstance({ instanceId: at.instanceId });
  await world.finished(clients, start.operation?.operationId);
  await expect.poll(() => told().at(-1)?.[1]).toBe(true); // it stays off wherever it is
  await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
  expect((await stateOf(clients, interfaceId))?.state).toBe(InterfaceState.DISABLED);
  const { instance } = await clients.instances.runInstance({ stopped: true });
  const attach = () => clients.interfaces.attachInterface({ spec: { interfaceId, instanceId: instance?.instanceId } });
  expect(await refusalOfCall(attach())).toMatchObject({
    status: "FAILED_PRECONDITION",
    reason: "WRONG_STATE",
    facts: { state: "DISABLED" },
  });
  expect((await set(false)).interface?.state).toBe(InterfaceState.AVAILABLE);
  expect((await attach()).attachment?.state).toBe(AttachmentState.ATTACHING);
});
