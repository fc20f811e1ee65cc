import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { catchUp, detach, detached, lose, scene } from "./force-scene.ts";
import type { Scene } from "./force-scene.ts";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// C7: what ends without the word of the host that carries it.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

async function another({ clients, subnetId, networkId }: Scene, address: string): Promise<string> {
  const { interface: made } = await clients.interfaces.createInterface({ spec: { subnetId, privateAddresses: [address] } });
  expect(networkId).toBeGreaterThan(0n);
  return made?.interfaceId ?? "";
}

const stopped = async (at: Scene): Promise<string> =>
  (await at.clients.instances.runInstance({ stopped: true })).instance?.instanceId ?? "";

describe("a detach that the host does not acknowledge", () => {
  test("is refused to be forced while the host's lease runs, and says until when", async () => {
    const at = await scene(world);
    await lose(world, at, 5);
    const attachment = await detach(at, { force: false });
    expect(attachment?.state).toBe(AttachmentState.DETACHING);
    const refusal = await refusalOfCall(detach(at, { force: true }));
    expect(refusal).toMatchObject({ status: "FAILED_PRECONDITION", reason: "WRONG_STATE", facts: { state: "HOST_LEASE_RUNNING" } });
    const ends = Date.parse(refusal.facts["lease_end_time"] ?? "");
    expect(Math.abs(ends - Date.now() - 10_000)).toBeLessThan(3_000);
  });

  test("refused, has not even begun", async () => {
    const at = await scene(world);
    await refusalOfCall(detach(at, { force: true }));
    const { interface: record } = await at.clients.interfaces.getInterface({ interfaceId: at.interfaceId });
    expect(record?.attachments[0]?.state).toBe(AttachmentState.ATTACHED);
  });

  test("keeps its address, and its record, until it is over", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    const held = await detach(at, { force: false });
    expect(detached(held)).toMatchObject({ reason: "HostDisconnected" });
    expect(detached(held)?.message).toContain("force");
    const { interface: record } = await at.clients.interfaces.getInterface({ interfaceId: at.interfaceId });
    const rival = await another(at, record?.privateAddresses[0] ?? "");
    const instanceId = await stopped(at);
    const attach = (interfaceId: string) =>
      at.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait: WaitFor.COMMITTED });
    expect(await refusalOfCall(attach(rival))).toMatchObject({ status: "FAILED_PRECONDITION", reason: "ADDRESS_IN_USE" });
    expect(await refusalOfCall(attach(at.interfaceId))).toMatchObject({ reason: "ALREADY_ATTACHED" });
    expect((await refusalOfCall(attach(at.interfaceId))).message).toContain("still being detached");
    await catchUp(world, at.other, at.networkId);
    expect((await detach(at, { force: true, wait: 5 }))?.state).toBe(AttachmentState.DETACHED);
    expect((await attach(rival)).attachment?.state).toBe(AttachmentState.ATTACHING);
  });

  test("ends by force when every reachable host has applied the version without the mapping, and says whom it awaits until then", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    const waiting = await detach(at, { force: true });
    expect(waiting?.state).toBe(AttachmentState.DETACHING);
    expect(detached(waiting)).toMatchObject({ reason: "WaitTimedOut" });
    expect(detached(waiting)?.message).toContain("1 of 1 reachable hosts of the network");
    expect(detached(waiting)?.message).not.toContain(at.other.hostId);
    const { attachment } = await world.operator.interfaces.getAttachment({ attachmentId: waiting?.attachmentId ?? "" });
    expect(detached(attachment)?.message).toContain(at.other.hostId);
    expect(await world.operatorMappings(at.networkId)).toHaveLength(1);
    const ending = detach(at, { force: true, wait: 10 });
    await catchUp(world, at.other, at.networkId);
    const over = await ending;
    expect(over?.state).toBe(AttachmentState.DETACHED);
    expect(detached(over)).toMatchObject({ reason: "Forced" });
    expect(over?.detachTime).toBeDefined();
  });

  test("ends by itself after the caller has gone, also when the last awaited host falls silent", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    const attachment = await detach(at, { force: true, wait: 0 });
    await world.age(at.other.hostId, 20);
    await expect
      .poll(async () => (await at.clients.interfaces.getAttachment({ attachmentId: attachment?.attachmentId ?? "" })).attachment?.state)
      .toBe(AttachmentState.DETACHED);
  });

  test("is over by the host's own word alone when the host is back before that", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    await detach(at, { force: true });
    await at.lost.connect();
    await catchUp(world, at.other, at.networkId);
    const still = await detach(at, { force: false });
    expect(still?.state).toBe(AttachmentState.DETACHING);
    at.lost.acknowledge();
    const read = async () => (await at.clients.interfaces.getAttachment({ attachmentId: still?.attachmentId ?? "" })).attachment;
    await expect.poll(async () => (await read())?.state).toBe(AttachmentState.DETACHED);
    expect(detached(await read())?.reason).toBe("Applied");
  });

  test("stays in the feed of the host that wakes until it has said that it closed", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    await catchUp(world, at.other, at.networkId);
    const ending = detach(at, { force: true, wait: 10 });
    await expect.poll(async () => (await world.operatorMappings(at.networkId)).length).toBe(1);
    await catchUp(world, at.other, at.networkId);
    const over = await ending;
    expect(detached(over)).toMatchObject({ reason: "Forced" });
    await at.lost.disconnect();
    at.lost.attachments.clear();
    await at.lost.connect();
    expect([...at.lost.attachments.values()]).toMatchObject([{ attachmentId: over?.attachmentId, wanted: Wanted.ABSENT }]);
    at.lost.acknowledge();
    const read = async () => (await at.clients.interfaces.getAttachment({ attachmentId: over?.attachmentId ?? "" })).attachment;
    await expect.poll(async () => detached(await read())?.reason).toBe("Applied");
    await at.lost.disconnect();
    at.lost.attachments.clear();
    await at.lost.connect();
    expect(at.lost.attachments.size).toBe(0);
  });

  test("is forced by the record's owner or an operator only, not by who may detach", async () => {
    const at = await scene(world);
    const detacher = await world.account();
    await at.clients.interfaces.updateInterface({
      interface: { interfaceId: at.interfaceId, access: { detachers: [{ accountId: detacher.accountId }] } },
      updateMask: ["access"],
    });
    await lose(world, at, 20);
    const theirs = { ...at, clients: detacher.clients };
    expect(await refusalOfCall(detach(theirs, { force: true }))).toMatchObject({ status: "PERMISSION_DENIED" });
    expect((await detach(theirs, { force: false }))?.state).toBe(AttachmentState.DETACHING);
    await catchUp(world, at.other, at.networkId);
    expect((await detach({ ...at, clients: world.operator }, { force: true, wait: 5 }))?.state).toBe(AttachmentState.DETACHED);
  });
});

describe("an instance on a host that is silent", () => {
  test("is not forced off by its owner with the interface of somebody else on it", async () => {
    const at = await scene(world);
    const lender = await world.account();
    const { subnetId } = await world.network(lender.clients);
    const { interface: lent } = await lender.clients.interfaces.createInterface({
      spec: { subnetId, access: { attachers: [{ accountId: at.accountId }] } },
    });
    const { instanceId } = at;
    await at.clients.interfaces.attachInterface({ spec: { interfaceId: lent?.interfaceId, instanceId } });
    await lose(world, at, 20);
    expect(await refusalOfCall(at.clients.instances.terminateInstance({ instanceId, force: true }))).toMatchObject({
      status: "PERMISSION_DENIED",
    });
    const { attachments } = await lender.clients.interfaces.listAttachments({ interfaceId: lent?.interfaceId });
    expect(attachments.map((one) => one.state)).toEqual([AttachmentState.ATTACHED]);
    await world.operator.instances.terminateInstance({ instanceId, force: true });
  });

  test("stops by force and starts on another host with the same attachment", async () => {
    const at = await scene(world);
    const spare = await world.host(at.zoneId);
    const { instanceId } = at;
    expect(await refusalOfCall(at.clients.instances.stopInstance({ instanceId, force: true }))).toMatchObject({
      status: "FAILED_PRECONDITION",
      facts: { state: "HOST_LEASE_RUNNING" },
    });
    await lose(world, at, 20);
    const { operation } = await at.clients.instances.stopInstance({ instanceId });
    await at.clients.instances.stopInstance({ instanceId, force: true });
    await catchUp(world, at.other, at.networkId);
    expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
    const start = await at.clients.instances.startInstance({ instanceId });
    expect(await world.finished(at.clients, start.operation?.operationId)).toBe("SUCCEEDED");
    expect(start.instance).toMatchObject({ state: InstanceState.PENDING, hostId: spare.hostId });
    expect([...spare.attachments.values()]).toMatchObject([{ wanted: Wanted.PRESENT, instanceId }]);
    await at.lost.disconnect();
    at.lost.instances.clear();
    at.lost.attachments.clear();
    await at.lost.connect();
    expect(at.lost.instances.size).toBe(0);
    expect([...at.lost.attachments.values()]).toMatchObject([{ wanted: Wanted.ABSENT, instanceId }]);
  });

  test("terminates by force with its interfaces", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    const { operation, instance } = await at.clients.instances.terminateInstance({ instanceId: at.instanceId, force: true });
    expect(instance?.state).toBe(InstanceState.TERMINATING);
    await catchUp(world, at.other, at.networkId);
    expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
    const { interface: record } = await at.clients.interfaces.getInterface({ interfaceId: at.interfaceId });
    expect(record?.attachments).toEqual([]);
  });
});
