import { sql } from "kysely";
import type { Kysely } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { HostState } from "#gen/plenum/host/v1/host.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { forcedAttachments } from "../interface/api.ts";
import { instanceDirectory, openSession, takeVersions } from "../placement/api.ts";
import { catchUp, detach, detached, lose, scene } from "./force-scene.ts";
import type { Scene } from "./force-scene.ts";
import { holdOpen, lockAwaited } from "./locks.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// Interleavings of what may happen at once to one attachment (C5, C6, C7).

let world: World;
let db: Kysely<unknown>;
beforeAll(async () => {
  world = await startWorld();
  db = world.db.kysely;
});
afterAll(() => world?.stop());

const HELLO = { agentVersion: "race", kernelRelease: "0", substrateMtu: 1_500, substrate: undefined };
const read = async ({ clients }: Scene, attachmentId: string | undefined) =>
  (await clients.interfaces.getAttachment({ attachmentId: attachmentId ?? "" })).attachment;

/** A transaction that stays open until it is told to end. */
const open = <Result>(body: (tx: Parameters<typeof openSession>[0]) => Promise<Result>) => holdOpen(db, body);
/** Until some statement of the database waits for a row. */
const blocked = () => lockAwaited(db);

test("a session that opens while the end is decided is awaited: the host counts as back", async () => {
  const at = await scene(world);
  await lose(world, at, 20);
  const forced = await detach(at, { force: true });
  const opening = await open((tx) => openSession(tx, at.lost.hostId, HELLO));
  await catchUp(world, at.other, at.networkId);
  expect((await detach(at, { force: false, wait: 1 }))?.state).toBe(AttachmentState.DETACHING);
  await opening.release();
  expect((await detach(at, { force: false, wait: 0.6 }))?.state).toBe(AttachmentState.DETACHING);
  // Its own word alone ends it now.
  await at.lost.disconnect();
  await at.lost.connect();
  at.lost.acknowledge();
  await expect.poll(async () => detached(await read(at, forced?.attachmentId))?.reason).toBe("Applied");
});

test("a session does not open while its host is held to be silent, and who decides waits for no session", async () => {
  const host = await world.host();
  const { hostId } = host;
  await host.disconnect();
  await expect.poll(async () => (await world.operator.hosts.getHost({ hostId })).host?.state).toBe(HostState.DISCONNECTED);
  await world.age(hostId, 20);
  const deciding = await open((tx) => instanceDirectory.holdSilent(tx, [hostId]));
  expect([...deciding.result]).toEqual([hostId]);
  let opened = false;
  const opening = db.transaction().execute(async (tx) => {
    await openSession(tx, hostId, HELLO);
    opened = true;
  });
  await blocked();
  expect(opened).toBe(false);
  // Another copy decides meanwhile: it holds the same host, too.
  await db.transaction().execute(async (tx) => expect((await instanceDirectory.holdSilent(tx, [hostId])).size).toBe(1));
  await deciding.release();
  await opening;
  await db.transaction().execute(async (tx) => expect((await instanceDirectory.holdSilent(tx, [hostId])).size).toBe(0));
});

test("what an older session says as a newer one opens does not count for the newer", async () => {
  const at = await scene(world);
  const { hostId, epoch } = at.lost;
  const networks = new Map([[at.networkId, 77n]]);
  const older = await open((tx) => takeVersions(tx, [{ hostId, epoch, hostVersion: 1n, networks }]));
  expect(older.result.has(hostId)).toBe(true);
  const opening = db.transaction().execute((tx) => openSession(tx, hostId, HELLO));
  await blocked();
  await older.release();
  expect(await opening).toBe(epoch + 1n);
  const { rows } = await sql`SELECT FROM host_network_version WHERE host_id = ${hostId}`.execute(db);
  expect(rows).toEqual([]);
});

test("two copies end it once, while the caller waits at one and hosts speak at the other", async () => {
  const at = await scene(world);
  const copy = await world.copy();
  const there = { ...at, clients: await copy.as(at.accountId) };
  await lose(world, at, 20);
  expect((await detach(at, { force: true, wait: 0 }))?.state).toBe(AttachmentState.DETACHING);
  const elsewhere = at.other.at(copy.internal);
  await elsewhere.connect();
  const ending = detach(there, { force: true, wait: 10 });
  await catchUp(world, elsewhere, at.networkId);
  expect(detached(await ending)).toMatchObject({ reason: "Forced" });
  const { rows } = await sql`SELECT FROM attachment_residue WHERE host_id = ${at.lost.hostId}`.execute(db);
  expect(rows).toHaveLength(1);
  await elsewhere.close();
});

test("a host that connects again before it has caught up is awaited anew; one that reconnects after that is awaited, too", async () => {
  const at = await scene(world);
  await lose(world, at, 20);
  const forced = await detach(at, { force: true });
  at.other.behaviour.acknowledge = false;
  await at.other.disconnect();
  await at.other.connect();
  expect((await detach(at, { force: false, wait: 0.6 }))?.state).toBe(AttachmentState.DETACHING);
  await at.other.disconnect();
  await at.other.connect();
  await catchUp(world, at.other, at.networkId);
  await expect.poll(async () => (await read(at, forced?.attachmentId))?.state).toBe(AttachmentState.DETACHED);
});

test("detach, force, re-attach on another host: the old host's late words touch the new attachment in nothing", async () => {
  const at = await scene(world);
  const [old] = at.lost.attachments.values();
  await lose(world, at, 20);
  const forced = await detach(at, { force: true, wait: 0 });
  await catchUp(world, at.other, at.networkId);
  await expect.poll(async () => (await read(at, forced?.attachmentId))?.state).toBe(AttachmentState.DETACHED);
  const { instances } = await at.clients.instances.listInstances({});
  const instanceId = instances.find((one) => one.hostId === at.other.hostId)?.instanceId;
  const { attachment } = await at.clients.interfaces.attachInterface({
    spec: { interfaceId: at.interfaceId, instanceId },
    wait: WaitFor.PROGRAMMED,
  });
  expect(attachment).toMatchObject({ state: AttachmentState.ATTACHED, hostId: at.other.hostId });
  expect(attachment?.wireId).not.toBe(old?.wireId);
  // In the stream that it never lost, it says what it had before, then that it let go, then that twice.
  at.lost.acknowledge();
  at.lost.acknowledge();
  await expect.poll(async () => detached(await read(at, forced?.attachmentId))?.reason).toBe("Applied");
  expect(await read(at, attachment?.attachmentId)).toMatchObject({ state: AttachmentState.ATTACHED, hostId: at.other.hostId });
  expect(await world.operatorMappings(at.networkId)).toHaveLength(2);
});

test("terminate during a detach: one end for both, the record stays since it was detached before", async () => {
  const at = await scene(world);
  at.lost.behaviour.acknowledge = false;
  const leaving = await detach(at, { force: false, wait: 0 });
  const { operation } = await at.clients.instances.terminateInstance({ instanceId: at.instanceId });
  await expect.poll(() => [...at.lost.instances.values()].map((item) => item.wanted)).toEqual([Wanted.ABSENT]);
  at.lost.acknowledge();
  expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
  expect((await read(at, leaving?.attachmentId))?.state).toBe(AttachmentState.DETACHED);
  const { interface: record } = await at.clients.interfaces.getInterface({ interfaceId: at.interfaceId });
  expect(record?.attachments).toEqual([]);
});

test("a forced detach, then a forced terminate of the instance that is left", async () => {
  const at = await scene(world);
  await lose(world, at, 20);
  const leaving = await detach(at, { force: true, wait: 0 });
  const { operation } = await at.clients.instances.terminateInstance({ instanceId: at.instanceId, force: true });
  await catchUp(world, at.other, at.networkId);
  expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
  expect(detached(await read(at, leaving?.attachmentId))).toMatchObject({ reason: "Forced" });
  expect((await at.clients.instances.getInstance({ instanceId: at.instanceId })).instance?.state).toBe(InstanceState.TERMINATED);
});

test("deciding holds up no other host's words", async () => {
  const at = await scene(world);
  await world.age(at.lost.hostId, 20);
  const deciding = await open((tx) => instanceDirectory.holdSilent(tx, [at.lost.hostId, at.other.hostId]));
  expect([...deciding.result]).toEqual([at.lost.hostId]);
  const { hostId, epoch } = at.other;
  expect([...(await takeVersions(db, [{ hostId, epoch, hostVersion: 0n, networks: new Map() }]))]).toEqual([hostId]);
  await deciding.release();
});

test("a forced end that fails keeps no other from its own", async () => {
  const scenes = [await scene(world), await scene(world)];
  for (const at of scenes) {
    await lose(world, at, 20);
    expect((await detach(at, { force: true }))?.state).toBe(AttachmentState.DETACHING);
  }
  // Whichever is looked at first cannot be written.
  const [first] = await forcedAttachments(db);
  const bad = scenes.find(({ instanceId }) => instanceId === first?.instance_id);
  const good = scenes.find((at) => at !== bad);
  if (bad === undefined || good === undefined) throw new Error("nothing is forced");
  await sql`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'`.execute(db);
  await sql
    .raw(
      `CREATE TRIGGER refuse BEFORE UPDATE ON attachment FOR EACH ROW WHEN (OLD.instance_id = '${bad.instanceId}') EXECUTE FUNCTION refuse()`,
    )
    .execute(db);
  for (const at of scenes) await catchUp(world, at.other, at.networkId);
  const state = async ({ clients, interfaceId }: Scene) =>
    (await clients.interfaces.getInterface({ interfaceId })).interface?.attachments.length;
  await expect.poll(() => state(good)).toBe(0);
  expect(await state(bad)).toBe(1);
  await sql`DROP TRIGGER refuse ON attachment`.execute(db);
  await expect.poll(() => state(bad)).toBe(0);
});
