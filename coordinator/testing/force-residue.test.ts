import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { forgetOldAttachments } from "../interface/api.ts";
import { catchUp, detach, detached, lose, scene, seconds } from "./force-scene.ts";
import type { Scene } from "./force-scene.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// C7: a host that something was forced off stays one of the network until it has said that it let go.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const attachmentOf = async ({ interfaceId }: Scene, by: Clients) =>
  (await by.interfaces.getInterface({ interfaceId })).interface?.attachments[0];
const departed = async (at: Scene, by: Clients = world.operator) =>
  (await attachmentOf(at, by))?.conditions.find((one) => one.type === "Departed");
const stateOf = async ({ clients, instanceId }: Scene) => (await clients.instances.getInstance({ instanceId })).instance?.state;

/** Its instance is stopped by force while its host is silent. */
async function stoppedByForce(): Promise<Scene> {
  const at = await scene(world);
  await lose(world, at, 20);
  await at.lost.disconnect();
  await at.clients.instances.stopInstance({ instanceId: at.instanceId, force: true });
  await catchUp(world, at.other, at.networkId);
  await expect.poll(() => stateOf(at)).toBe(InstanceState.STOPPED);
  return at;
}

/** An attachment on the other host is to end by force while that host, too, is silent. */
async function detachOnOther(at: Scene, wait: number) {
  const { interfaces } = await at.clients.interfaces.listInterfaces({ filter: { subnetId: at.subnetId } });
  const there = interfaces.find((one) => one.interfaceId !== at.interfaceId)?.interfaceId ?? "";
  return detach({ ...at, interfaceId: there }, { force: true, wait });
}

describe("a stop by force", () => {
  test("is told from one that the host confirmed, until the host does; its id is the operator's", async () => {
    const at = await stoppedByForce();
    expect(await departed(at)).toMatchObject({ status: ConditionStatus.UNKNOWN, reason: "Forced" });
    expect((await departed(at))?.message).toContain(at.lost.hostId);
    expect((await departed(at, at.clients))?.message).toContain("1 host that it was on has not said that traffic stopped there");
    expect((await departed(at, at.clients))?.message).not.toContain(at.lost.hostId);
    await at.lost.connect();
    expect([...at.lost.attachments.values()]).toMatchObject([{ wanted: Wanted.ABSENT, instanceId: at.instanceId }]);
    expect(await departed(at)).toBeDefined();
    at.lost.acknowledge();
    await expect.poll(() => departed(at)).toBeUndefined();
    await at.lost.disconnect();
    at.lost.attachments.clear();
    await at.lost.connect();
    expect(at.lost.attachments.size).toBe(0);
  });

  test("lets a later force in the network await the old host once it is back, until it has let go", async () => {
    const at = await stoppedByForce();
    await at.lost.connect();
    at.other.behaviour.acknowledge = false;
    await world.age(at.other.hostId, 20);
    const waiting = await detachOnOther(at, 0.6);
    expect(waiting?.state).toBe(AttachmentState.DETACHING);
    const { attachment } = await world.operator.interfaces.getAttachment({ attachmentId: waiting?.attachmentId ?? "" });
    expect(detached(attachment)?.message).toContain(at.lost.hostId);
    const ending = detachOnOther(at, 10);
    at.lost.acknowledge();
    expect((await ending)?.state).toBe(AttachmentState.DETACHED);
  });

  test("goes on elsewhere while the old host is told to let go by what it knew", async () => {
    const at = await stoppedByForce();
    const [before] = at.lost.attachments.values();
    const spare = await world.host(at.zoneId);
    const { operation } = await at.clients.instances.startInstance({ instanceId: at.instanceId });
    expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
    expect((await attachmentOf(at, world.operator))?.conditions.map((one) => [one.type, one.reason])).toContainEqual([
      "Departed",
      "Forced",
    ]);
    at.lost.attachments.clear();
    await at.lost.connect();
    const [told] = at.lost.attachments.values();
    expect(told).toMatchObject({ wanted: Wanted.ABSENT, generation: (before?.generation ?? 0n) + 1n, meterId: before?.meterId });
    const [there] = spare.attachments.values();
    expect(there).toMatchObject({ wanted: Wanted.PRESENT, attachmentId: told?.attachmentId });
    expect(there?.meterId).not.toBe(told?.meterId);
    at.lost.acknowledge();
    await expect.poll(() => departed(at)).toBeUndefined();
    expect(await attachmentOf(at, world.operator)).toMatchObject({ state: AttachmentState.ATTACHED, hostId: spare.hostId });
  });

  test("and a start on the same host leave one item there, which it is to carry", async () => {
    const at = await stoppedByForce();
    await at.lost.connect();
    const { operation } = await at.clients.instances.startInstance({ instanceId: at.instanceId });
    await expect.poll(() => [...at.lost.attachments.values()].map((item) => item.wanted)).toEqual([Wanted.PRESENT]);
    await at.lost.disconnect();
    at.lost.attachments.clear();
    at.lost.behaviour.acknowledge = true;
    await at.lost.connect();
    expect([...at.lost.attachments.values()].map((item) => item.wanted)).toEqual([Wanted.PRESENT]);
    expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
    expect(await departed(at)).toBeUndefined();
  });

  test("then a detach: over at once, and still said to be unconfirmed", async () => {
    const at = await stoppedByForce();
    const over = await detach(at, { force: false, wait: 0 });
    expect(over?.state).toBe(AttachmentState.DETACHED);
    expect(detached(over)).toMatchObject({ status: ConditionStatus.TRUE, reason: "Forced" });
    await at.lost.connect();
    expect([...at.lost.attachments.values()]).toMatchObject([{ wanted: Wanted.ABSENT }]);
    at.lost.acknowledge();
    const read = async () => (await at.clients.interfaces.getAttachment({ attachmentId: over?.attachmentId ?? "" })).attachment;
    await expect.poll(async () => detached(await read())?.reason).toBe("Applied");
  });
});

test("what was forced off two hosts in turn is awaited from both, each by what it knew", async () => {
  const at = await stoppedByForce();
  const spare = await world.host(at.zoneId);
  const start = await at.clients.instances.startInstance({ instanceId: at.instanceId });
  expect(await world.finished(at.clients, start.operation?.operationId)).toBe("SUCCEEDED");
  spare.behaviour.acknowledge = false;
  await world.age(spare.hostId, 20);
  await spare.disconnect();
  await at.clients.instances.stopInstance({ instanceId: at.instanceId, force: true });
  await catchUp(world, at.other, at.networkId);
  await expect.poll(() => stateOf(at)).toBe(InstanceState.STOPPED);
  expect((await departed(at, at.clients))?.message).toContain("2 hosts that it was on have not said");
  for (const [host, left] of [
    [at.lost, 1],
    [spare, 0],
  ] as const) {
    await host.connect();
    host.acknowledge();
    await expect.poll(async () => Number((await departed(at, at.clients))?.message.slice(0, 1) ?? 0)).toBe(left);
  }
});

test("a terminated instance's attachments are kept until the host has said that they are gone, however long that takes", async () => {
  const at = await scene(world);
  const attachmentId = (await attachmentOf(at, at.clients))?.attachmentId ?? "";
  await lose(world, at, 20);
  await at.lost.disconnect();
  const { operation } = await at.clients.instances.terminateInstance({ instanceId: at.instanceId, force: true });
  await catchUp(world, at.other, at.networkId);
  expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
  const { kysely } = world.db;
  const forget = async () => {
    await sql`UPDATE attachment SET detach_time = detach_time - interval '2 hours' WHERE attachment_id = ${attachmentId}`.execute(kysely);
    await forgetOldAttachments(kysely);
    return (await sql`SELECT FROM attachment WHERE attachment_id = ${attachmentId}`.execute(kysely)).rows.length;
  };
  expect(await forget()).toBe(1);
  at.lost.attachments.clear();
  await at.lost.connect();
  expect([...at.lost.attachments.keys()]).toEqual([attachmentId]);
  at.lost.acknowledge();
  await expect.poll(forget).toBe(0);
});

test("a stopped instance's operation waits for the others as long as they are there, and its caller is told", async () => {
  const at = await scene(world);
  await lose(world, at, 20);
  const { operation } = await at.clients.instances.stopInstance({ instanceId: at.instanceId, force: true });
  const { operation: early } = await at.clients.operations.waitOperation({ operationId: operation?.operationId, timeout: seconds(0.5) });
  expect(early?.endTime).toBeUndefined();
  await catchUp(world, at.other, at.networkId);
  expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
});
