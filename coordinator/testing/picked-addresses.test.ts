import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { catchUp, detach, lose, scene } from "./force-scene.ts";
import type { Scene } from "./force-scene.ts";
import { reasonOf } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// An address that the server picks can be attached at once, as long as there is one that can (C7, C9).

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

/** Of a /24 that interfaces may have. */
const ADDRESSES = 252;
const addressOf = async ({ clients, interfaceId }: Scene) =>
  (await clients.interfaces.getInterface({ interfaceId })).interface?.privateAddresses[0] ?? "";

/** The next pick in the subnet begins at this address. */
const beginAt = ({ subnetId }: Scene, address: string) =>
  sql`UPDATE subnet_pick SET next = ${address}::inet WHERE subnet_id = ${subnetId}`.execute(world.db.kysely);

/** Runs an instance with an interface that is made for it; its address. */
async function run(at: Scene): Promise<string> {
  const interfaces = [{ source: { $case: "create" as const, value: { subnetId: at.subnetId } } }];
  const { instance, operation } = await at.clients.instances.runInstance({ zoneId: at.zoneId, interfaces, stopped: true });
  expect(operation === undefined ? "SUCCEEDED" : await world.finished(at.clients, operation.operationId)).toBe("SUCCEEDED");
  const made = await at.clients.interfaces.listInterfaces({ filter: { instanceId: instance?.instanceId ?? "" } });
  return made.interfaces[0]?.privateAddresses[0] ?? "";
}

/** How many addresses no record names. */
async function unnamed({ subnetId }: Scene): Promise<number> {
  const { rows } = await sql<{ named: number }>`
    SELECT count(DISTINCT address)::int AS named FROM interface_address WHERE subnet_id = ${subnetId}`.execute(world.db.kysely);
  return ADDRESSES - (rows[0]?.named ?? 0);
}

/** Takes so many addresses of the subnet, picked by the server. */
async function take({ clients, subnetId }: Scene, count: number): Promise<string[]> {
  if (count === 0) return [];
  const { interfaces } = await clients.interfaces.batchCreateInterfaces({ specs: Array.from({ length: count }, () => ({ subnetId })) });
  return interfaces.flatMap((one) => one.privateAddresses);
}

/** Its attachment was given another address, and its host has not said that it gave this one up. */
async function giveUp(at: Scene): Promise<string> {
  const address = await addressOf(at);
  at.lost.behaviour.acknowledge = false;
  await at.clients.interfaces.setAddresses({ interfaceId: at.interfaceId, privateAddresses: ["10.0.1.200"] });
  return address;
}

/** It was forced off its host, which is silent, and its record is gone. */
async function forceOff(at: Scene): Promise<string> {
  const address = await addressOf(at);
  await lose(world, at, 60);
  await detach(at, { force: false });
  await catchUp(world, at.other, at.networkId);
  expect((await detach(at, { force: true, wait: 5 }))?.state).toBe(AttachmentState.DETACHED);
  await at.clients.interfaces.deleteInterface({ interfaceId: at.interfaceId });
  return address;
}

test.each([
  ["an attachment that was given another one holds still", giveUp],
  ["a host may forward on which it was forced off", forceOff],
])("one that %s is not picked while others are free", async (_title, leave) => {
  const at = await scene(world);
  const left = await leave(at);
  await beginAt(at, left);
  const picked = await run(at);
  expect(picked).not.toBe("");
  expect(picked).not.toBe(left);
  await beginAt(at, left);
  expect(await take(at, 3)).not.toContain(left);
});

test("with N addresses that no record names, N concurrent creates succeed, also where some are held still; one more is refused", async () => {
  const at = await scene(world);
  const left = await giveUp(at);
  const { clients, subnetId } = at;
  await beginAt(at, left);
  const most = await take(at, (await unnamed(at)) - 6);
  expect(most).not.toContain(left);
  const made = await Promise.all(Array.from({ length: 6 }, () => clients.interfaces.createInterface({ spec: { subnetId } })));
  const picked = made.map((one) => one.interface?.privateAddresses[0] ?? "");
  expect(new Set([...most, ...picked]).size).toBe(most.length + 6);
  expect(picked.filter((one) => one === left)).toHaveLength(1);
  expect(await reasonOf(clients.interfaces.createInterface({ spec: { subnetId } }))).toBe("RESOURCE_EXHAUSTED SUBNET_EXHAUSTED");
});

test("of those that are left, one that nobody holds is picked before one that an attachment does", async () => {
  const at = await scene(world);
  const { clients, subnetId } = at;
  const forced = await forceOff(at);
  const instance = (await clients.instances.listInstances({})).instances.find((one) => one.instanceId !== at.instanceId);
  const other = (await clients.interfaces.listInterfaces({ filter: { instanceId: instance?.instanceId ?? "" } })).interfaces[0];
  const held = other?.privateAddresses[0] ?? "";
  at.other.behaviour.acknowledge = false;
  await clients.interfaces.setAddresses({ interfaceId: other?.interfaceId ?? "", privateAddresses: ["10.0.1.200"] });
  const all = await take(at, (await unnamed(at)) - 2);
  expect(all).not.toContain(forced);
  expect(all).not.toContain(held);
  await beginAt(at, held);
  expect(await take(at, 1)).toEqual([forced]);
  expect(await take(at, 1)).toEqual([held]);
  expect(await reasonOf(clients.interfaces.createInterface({ spec: { subnetId } }))).toBe("RESOURCE_EXHAUSTED SUBNET_EXHAUSTED");
});
