import { afterAll, beforeAll, expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { Direction } from "#gen/plenum/network/v1/security_group.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { scene } from "./force-scene.ts";
import { reasonOf } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// A change that is asked for twice because its answer was lost is made once (C10, N10, N11).

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

test("a repeated detach does not end an attachment that was made meanwhile; without a request_id it does", async () => {
  const { clients, interfaceId, instanceId } = await scene(world);
  const { interfaces, instances } = clients;
  const target = { $case: "interfaceId" as const, value: interfaceId };
  const first = await interfaces.detachInterface({ target, requestId: "d-1" });
  expect(first.attachments).toMatchObject([{ instanceId, state: AttachmentState.DETACHED }]);
  const elsewhere = (await instances.runInstance({ stopped: true })).instance?.instanceId ?? "";
  const { attachment } = await interfaces.attachInterface({ spec: { interfaceId, instanceId: elsewhere } });
  const again = await interfaces.detachInterface({ target, requestId: "d-1" });
  expect(again.attachments.map((one) => one.attachmentId)).toEqual(first.attachments.map((one) => one.attachmentId));
  const { attachmentId } = attachment ?? {};
  expect((await interfaces.getAttachment({ attachmentId })).attachment?.state).toBe(AttachmentState.ATTACHING);
  expect(await reasonOf(interfaces.detachInterface({ target, requestId: "d-1", force: true }))).toBe("ALREADY_EXISTS REQUEST_ID_REUSED");
  await interfaces.detachInterface({ target });
  expect((await interfaces.getAttachment({ attachmentId })).attachment?.state).toBe(AttachmentState.DETACHED);
  const empty = { target: { $case: "instanceId" as const, value: elsewhere }, requestId: "d-2" };
  expect((await interfaces.detachInterface(empty)).attachments).toEqual([]);
  expect((await interfaces.detachInterface(empty)).attachments).toEqual([]);
});

test("a detacher and the instance's owner repeat, too; who lost the right reads nothing", async () => {
  const { clients, interfaceId } = await scene(world);
  const other = await world.account();
  const lists = (detachers: string[], attachers: string[]) =>
    clients.interfaces.updateInterface({
      interface: {
        interfaceId,
        access: { detachers: detachers.map((accountId) => ({ accountId })), attachers: attachers.map((accountId) => ({ accountId })) },
      },
      updateMask: ["access"],
    });
  await lists([other.accountId], []);
  const detach = { target: { $case: "interfaceId" as const, value: interfaceId }, requestId: "by-other" };
  const first = await other.clients.interfaces.detachInterface(detach);
  expect(await other.clients.interfaces.detachInterface(detach)).toEqual(first);
  // As an attacher it is the instance's owner, who may end what is attached there.
  await lists([], [other.accountId]);
  expect(await reasonOf(other.clients.interfaces.detachInterface(detach))).toBe("PERMISSION_DENIED NOT_ALLOWED");
  const { instance } = await other.clients.instances.runInstance({ stopped: true });
  const instanceId = instance?.instanceId ?? "";
  await other.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
  const own = { target: { $case: "interfaceId" as const, value: interfaceId }, requestId: "as-instance-owner" };
  const ended = await other.clients.interfaces.detachInterface(own);
  expect(ended.attachments).toMatchObject([{ state: AttachmentState.DETACHED, detachedBy: "alice", createdBy: "alice" }]);
  expect(await other.clients.interfaces.detachInterface(own)).toEqual(ended);
});

test("rules, records and addresses: a repeat with the old etag is one under its request_id only, and changes nothing", async () => {
  const { clients, interfaceId, defaultGroup: securityGroupId } = await scene(world);
  const { groups, interfaces } = clients;
  const { securityGroup } = await groups.getSecurityGroup({ securityGroupId });
  const rules = [{ direction: Direction.EGRESS, peer: { $case: "cidr" as const, value: "10.0.0.0/8" } }];
  const replace = { securityGroupId, rules, etag: securityGroup?.etag, requestId: "r-1" };
  const { securityGroup: replaced } = await groups.replaceSecurityGroupRules(replace);
  expect((await groups.replaceSecurityGroupRules(replace)).securityGroup?.etag).toBe(replaced?.etag);
  expect(await reasonOf(groups.replaceSecurityGroupRules({ ...replace, requestId: "" }))).toBe("ABORTED STALE_ETAG");
  // What somebody else made of it meanwhile stays, and is what the repeat answers.
  await groups.replaceSecurityGroupRules({ securityGroupId, rules: [] });
  expect((await groups.replaceSecurityGroupRules(replace)).securityGroup?.rules).toEqual([]);

  const { interface: before } = await interfaces.getInterface({ interfaceId });
  const update = { interface: { interfaceId, description: "one", etag: before?.etag }, updateMask: ["description"], requestId: "u-1" };
  const { interface: updated } = await interfaces.updateInterface(update);
  expect((await interfaces.updateInterface(update)).interface?.generation).toBe(updated?.generation);
  const set = { interfaceId, privateAddresses: ["10.0.1.200"], etag: updated?.etag, requestId: "s-1" };
  await interfaces.setAddresses(set);
  await interfaces.setAddresses({ interfaceId, privateAddresses: ["10.0.1.201"] });
  expect((await interfaces.setAddresses(set)).interface?.privateAddresses).toEqual(["10.0.1.201"]);

  const made = (await interfaces.createInterface({ spec: { subnetId: updated?.subnetId } })).interface?.interfaceId ?? "";
  await interfaces.deleteInterface({ interfaceId: made, requestId: "x-1" });
  await interfaces.deleteInterface({ interfaceId: made, requestId: "x-1" });
  expect(await reasonOf(interfaces.deleteInterface({ interfaceId: made }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
});

test("a repeated stop does not stop what was started since, nor a start start what was stopped", async () => {
  const { clients, instanceId } = await scene(world);
  const { instances } = clients;
  const state = async () => (await instances.getInstance({ instanceId })).instance?.state;
  const stopped = await instances.stopInstance({ instanceId, requestId: "stop" });
  await world.finished(clients, stopped.operation?.operationId);
  const started = await instances.startInstance({ instanceId, requestId: "start" });
  await world.finished(clients, started.operation?.operationId);
  expect(await instances.stopInstance({ instanceId, requestId: "stop" })).toEqual(stopped);
  expect(await state()).toBe(InstanceState.RUNNING);
  await world.finished(clients, (await instances.stopInstance({ instanceId })).operation?.operationId);
  expect(await instances.startInstance({ instanceId, requestId: "start" })).toEqual(started);
  expect(await state()).toBe(InstanceState.STOPPED);
  const ended = await instances.terminateInstance({ instanceId, requestId: "end" });
  expect(await instances.terminateInstance({ instanceId, requestId: "end" })).toEqual(ended);
});

test("delete_on_terminate is set anew, both ways, by whoever may attach; the instance's end goes by it", async () => {
  const { clients, subnetId } = await scene(world);
  const { interfaces, instances } = clients;
  const stranger = await world.account();
  const end = async (made: boolean, now: boolean): Promise<string> => {
    const source = { $case: "create" as const, value: { subnetId } };
    const { instance } = await instances.runInstance({ stopped: true, interfaces: [{ source, deleteOnTerminate: made }] });
    const { instanceId = "", attachmentIds = [] } = instance ?? {};
    const [attachmentId = ""] = attachmentIds;
    const update = {
      attachment: { attachmentId, deleteOnTerminate: now },
      updateMask: ["delete_on_terminate"],
      requestId: `flip-${attachmentId}`,
    };
    expect(await reasonOf(stranger.clients.interfaces.updateAttachment(update))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    const { attachment } = await interfaces.updateAttachment(update);
    expect(attachment).toMatchObject({ attachmentId, deleteOnTerminate: now, generation: 1n });
    expect(await interfaces.updateAttachment(update)).toEqual({ attachment });
    await instances.terminateInstance({ instanceId });
    expect(await reasonOf(interfaces.updateAttachment({ ...update, requestId: "" }))).toBe("FAILED_PRECONDITION WRONG_STATE");
    const { interfaceId } = attachment ?? {};
    return interfaces.getInterface({ interfaceId }).then(
      () => "kept",
      () => "deleted",
    );
  };
  expect([await end(true, false), await end(false, true), await end(true, true)]).toEqual(["kept", "deleted", "deleted"]);
});

test("an attacher may keep the record from going with its instance, not make it go; who asked is told", async () => {
  const { clients, subnetId } = await scene(world);
  const attacher = await world.account();
  const spec = { subnetId, access: { attachers: [{ accountId: attacher.accountId }] } };
  const interfaceId = (await clients.interfaces.createInterface({ spec })).interface?.interfaceId ?? "";
  const theirs = attacher.clients;
  const instanceId = (await theirs.instances.runInstance({ stopped: true })).instance?.instanceId ?? "";
  const { attachment } = await theirs.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
  const attachmentId = attachment?.attachmentId ?? "";
  const update = (deleteOnTerminate: boolean) => ({ attachment: { attachmentId, deleteOnTerminate }, updateMask: ["delete_on_terminate"] });
  expect((await theirs.interfaces.updateAttachment(update(false))).attachment?.deleteOnTerminate).toBe(false);
  expect(await reasonOf(theirs.interfaces.updateAttachment(update(true)))).toBe("PERMISSION_DENIED NOT_ALLOWED");
  // The record's owner does not own the instance.
  expect(await reasonOf(clients.interfaces.updateAttachment(update(true)))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  expect(await reasonOf(theirs.interfaces.updateAttachment({ ...update(false), updateMask: ["device_index"] }))).toBe(
    "INVALID_ARGUMENT INVALID_FIELD",
  );
});
