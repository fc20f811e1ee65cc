import { afterAll, beforeAll, expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

test("interfaces are found by address, group and tag, all of which must hold, and only the caller's", async () => {
  const [one, other] = [(await world.account()).clients, (await world.account()).clients];
  const make = async (clients: typeof one) => {
    const { vpcId, subnetId } = await world.network(clients);
    const groupId = (await clients.groups.createSecurityGroup({ vpcId, name: "g" })).securityGroup?.securityGroupId ?? "";
    const create = async (spec: object) =>
      (await clients.interfaces.createInterface({ spec: { subnetId, ...spec } })).interface?.interfaceId;
    const a = await create({ privateAddresses: ["10.0.1.7"], securityGroupIds: [groupId], tags: { team: "red" } });
    const b = await create({ privateAddresses: ["10.0.1.8"], tags: { team: "", note: "x" } });
    return { groupId, a, b };
  };
  const mine = await make(one);
  const theirs = await make(other);
  const found = async (filter: object) => (await one.interfaces.listInterfaces({ filter })).interfaces.map((each) => each.interfaceId);
  expect(await found({ privateAddress: "10.0.1.7" })).toEqual([mine.a]);
  expect(await found({ privateAddress: "10.0.1.9" })).toEqual([]);
  expect(await found({ securityGroupId: mine.groupId })).toEqual([mine.a]);
  expect(await found({ securityGroupId: theirs.groupId })).toEqual([]);
  expect(await found({ tagKey: "team" })).toEqual([mine.a, mine.b]);
  expect(await found({ tagKey: "team", tagValue: "" })).toEqual([mine.b]);
  expect(await found({ tagKey: "team", tagValue: "red", privateAddress: "10.0.1.8" })).toEqual([]);
  for (const filter of [{ tagValue: "red" }, { privateAddress: "fd00::1" }, { securityGroupId: "vpc-1" }, { state: 99 }])
    expect(await refusalOfCall(found(filter))).toMatchObject({ status: "INVALID_ARGUMENT" });
});

test("instances are found by state, zone and name", async () => {
  const host = await world.host("filter-zone");
  expect(host.hostId).not.toBe("");
  const { clients } = await world.account();
  const run = async (spec: object) => (await clients.instances.runInstance({ stopped: true, ...spec })).instance?.instanceId ?? "";
  const [a, b] = [await run({ name: "web", zoneId: "filter-zone" }), await run({ name: "db" })];
  await clients.instances.terminateInstance({ instanceId: b });
  const found = async (filter: object) => (await clients.instances.listInstances(filter)).instances.map((each) => each.instanceId);
  expect(await found({})).toEqual([a, b]);
  expect(await found({ state: InstanceState.STOPPED })).toEqual([a]);
  expect(await found({ state: InstanceState.TERMINATED })).toEqual([b]);
  expect(await found({ zoneId: "filter-zone" })).toEqual([a]);
  expect(await found({ name: "db" })).toEqual([b]);
  expect(await found({ name: "web", state: InstanceState.TERMINATED })).toEqual([]);
  expect(await refusalOfCall(found({ state: 99 as InstanceState }))).toMatchObject({ status: "INVALID_ARGUMENT" });
});
