import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { MemoryHub } from "#lib/bus/memory.ts";
import { transaction } from "#lib/db/transaction.ts";
import { silentLog } from "#lib/log/log.ts";
import { takeAtOnce } from "../feed/out/take-at-once.ts";
import type { FakeHost } from "./fake-host.ts";
import { lockAwaited } from "./locks.ts";
import { startWorld } from "./world.ts";
import type { Clients, TestNetwork, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

interface Scene extends TestNetwork {
  readonly clients: Clients;
  readonly host: FakeHost;
  readonly instanceId: string;
}

let zones = 0;
async function scene(): Promise<Scene> {
  zones += 1;
  const zoneId = `once-${zones}`;
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  const network = await world.network(clients);
  const create = { source: { $case: "create" as const, value: { subnetId: network.subnetId } } };
  const { instance, operation } = await clients.instances.runInstance({ zoneId, interfaces: [create] });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  // From here on it says nothing by itself: the test speaks for it.
  host.behaviour.acknowledge = false;
  return { ...network, clients, host, instanceId: instance?.instanceId ?? "" };
}

/** An attachment that its host has not spoken of; with rules of its own, if these are given. */
async function attached({ clients, subnetId, vpcId, instanceId }: Scene, ownRules = false) {
  const groups = ownRules ? [(await clients.groups.createSecurityGroup({ vpcId, name: "own" })).securityGroup?.securityGroupId ?? ""] : [];
  const { interface: record } = await clients.interfaces.createInterface({ spec: { subnetId, securityGroupIds: groups } });
  const spec = { interfaceId: record?.interfaceId ?? "", instanceId };
  const { attachment } = await clients.interfaces.attachInterface({ spec, wait: WaitFor.COMMITTED });
  return attachment?.attachmentId ?? "";
}

const bus = new MemoryHub().connect(silentLog());
const say = ({ host }: Scene, attachmentId: string, generation: bigint, state: AppliedState, networks: [bigint, bigint][] = []) =>
  takeAtOnce(
    { db: world.db.kysely, bus },
    { hostId: host.hostId, epoch: host.epoch, hostVersion: host.version, networks: new Map(networks) },
    [{ attachmentId, generation, state, message: "" }],
  );

const stateOf = async ({ clients }: Scene, attachmentId: string) =>
  (await clients.interfaces.getAttachment({ attachmentId })).attachment?.state;

test("a host's word of attachments is taken at once, from ATTACHING to DETACHED, and again to no effect", async () => {
  const at = await scene();
  const id = await attached(at);
  expect(await say(at, id, 1n, AppliedState.PRESENT, [[at.networkId, 7n]])).toMatchObject({ attachmentIds: [id], networkIds: [] });
  expect(await stateOf(at, id)).toBe(AttachmentState.ATTACHED);
  const { rows } = await sql<{ version: bigint }>`
    SELECT version FROM host_network_version WHERE host_id = ${at.host.hostId} AND network_id = ${at.networkId}`.execute(world.db.kysely);
  expect(rows).toEqual([{ version: 7n }]);
  expect(await say(at, id, 1n, AppliedState.PRESENT)).toMatchObject({ attachmentIds: [] });
  expect(await say(at, id, 2n, AppliedState.ABSENT)).toMatchObject({ attachmentIds: [] });
  await at.clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: id }, wait: WaitFor.COMMITTED });
  expect(await say(at, id, 1n, AppliedState.PRESENT)).toMatchObject({ attachmentIds: [] });
  expect(await say(at, id, 2n, AppliedState.ABSENT)).toMatchObject({ attachmentIds: [id], networkIds: [at.networkId] });
  expect(await stateOf(at, id)).toBe(AttachmentState.DETACHED);
});

test("rules that no other attachment of the host names are forgotten in the same statement, others are not", async () => {
  const at = await scene();
  const [shared, own] = [await attached(at), await attached(at, true)];
  for (const id of [shared, own]) {
    await say(at, id, 1n, AppliedState.PRESENT);
    await at.clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: id }, wait: WaitFor.COMMITTED });
  }
  await expect.poll(() => at.host.attachments.get(own)?.generation).toBe(2n);
  const [first, second] = [at.host.attachments.get(shared)?.rulesetId ?? 0, at.host.attachments.get(own)?.rulesetId ?? 0];
  expect([...at.host.rulesets.keys()]).toEqual(expect.arrayContaining([first, second]));
  await say(at, shared, 2n, AppliedState.ABSENT);
  await say(at, own, 2n, AppliedState.ABSENT);
  await expect.poll(() => at.host.rulesets.has(second)).toBe(false);
  expect(at.host.rulesets.has(first)).toBe(true);
});

test("what somebody changed between the look and the writing is left to be taken in steps", async () => {
  const at = await scene();
  const id = await attached(at);
  const levels = () => Promise.all([at.host.hostId].map((hostId) => world.level(`host:${hostId}`)));
  const before = await levels();
  const held = Promise.withResolvers<void>();
  const changed = transaction(world.db.kysely, async (tx) => {
    await sql`SELECT FROM instance WHERE instance_id = ${at.instanceId} FOR UPDATE`.execute(tx);
    held.resolve();
    await lockAwaited(world.db.kysely, { text: "take_applied" });
    await sql`UPDATE attachment SET generation = 2 WHERE attachment_id = ${id}`.execute(tx);
  });
  await held.promise;
  expect(await say(at, id, 1n, AppliedState.PRESENT, [[at.networkId, 9n]])).toBeUndefined();
  await changed;
  expect(await stateOf(at, id)).toBe(AttachmentState.ATTACHING);
  expect(await levels()).toEqual(before);
  const { rows } = await sql`
    SELECT FROM host_network_version WHERE host_id = ${at.host.hostId} AND version = 9`.execute(world.db.kysely);
  expect(rows).toEqual([]);
});

test("what more follows from is left to be taken in steps: an instance that stops, a record that goes with its attachment", async () => {
  const at = await scene();
  const id = await attached(at);
  await at.clients.instances.stopInstance({ instanceId: at.instanceId });
  expect(await say(at, id, 2n, AppliedState.ABSENT)).toBeUndefined();
  const other = await scene();
  const going = await attached(other);
  await sql`UPDATE attachment SET delete_when_detached = true WHERE attachment_id = ${going}`.execute(world.db.kysely);
  await other.clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: going }, wait: WaitFor.COMMITTED });
  expect(await say(other, going, 2n, AppliedState.ABSENT)).toBeUndefined();
  expect(await stateOf(other, going)).toBe(AttachmentState.DETACHING);
});

test("an older session's word is refused", async () => {
  const at = await scene();
  const id = await attached(at);
  at.host.epoch -= 1n;
  await expect(say(at, id, 1n, AppliedState.PRESENT)).rejects.toMatchObject({ reason: "STALE_SESSION" });
  expect(await stateOf(at, id)).toBe(AttachmentState.ATTACHING);
});
