import { afterAll, beforeAll, expect, test } from "vitest";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

test("names, descriptions and tags can be changed: what the mask names, by the version that was read", async () => {
  const { clients } = await world.account();
  const { vpcId, subnetId } = await world.network(clients);
  const { securityGroup } = await clients.groups.createSecurityGroup({ vpcId, name: "web", description: "old" });
  const securityGroupId = securityGroup?.securityGroupId ?? "";
  const instanceId = (await clients.instances.runInstance({ stopped: true, name: "old", tags: { a: "1" } })).instance?.instanceId ?? "";
  const interfaceId = (await clients.interfaces.createInterface({ spec: { subnetId, name: "old" } })).interface?.interfaceId ?? "";
  const name = "new";
  const changes = {
    vpc: (etag: string, updateMask: string[]) => clients.vpcs.updateVpc({ vpc: { vpcId, name, tags: { b: "2" }, etag }, updateMask }),
    subnet: (etag: string, updateMask: string[]) => clients.subnets.updateSubnet({ subnet: { subnetId, name, etag }, updateMask }),
    securityGroup: (etag: string, updateMask: string[]) =>
      clients.groups.updateSecurityGroup({ securityGroup: { securityGroupId, name, description: "new", etag }, updateMask }),
    instance: (etag: string, updateMask: string[]) =>
      clients.instances.updateInstance({ instance: { instanceId, name, tags: { b: "2" }, etag }, updateMask }),
    interface: (etag: string, updateMask: string[]) =>
      clients.interfaces.updateInterface({ interface: { interfaceId, name, tags: { b: "2" }, etag }, updateMask }),
  };
  const reads = {
    vpc: async () => (await clients.vpcs.getVpc({ vpcId })).vpc,
    subnet: async () => (await clients.subnets.getSubnet({ subnetId })).subnet,
    securityGroup: async () => (await clients.groups.getSecurityGroup({ securityGroupId })).securityGroup,
    instance: async () => (await clients.instances.getInstance({ instanceId })).instance,
    interface: async () => (await clients.interfaces.getInterface({ interfaceId })).interface,
  };
  for (const kind of ["vpc", "subnet", "securityGroup", "instance", "interface"] as const) {
    const before = await reads[kind]();
    const answer = Object.values(await changes[kind](before?.etag ?? "", ["name"]))[0] as unknown;
    const after = await reads[kind]();
    const rises = {
      ...(kind === "interface" ? { generation: 2n } : {}),
      ...(kind === "securityGroup" ? { conditions: [expect.objectContaining({ observedGeneration: 2n, reason: "Applied" })] } : {}),
    };
    expect(after, kind).toEqual({ ...before, ...rises, name, etag: after?.etag });
    expect(answer, kind).toEqual(after);
    expect(after?.etag).not.toBe(before?.etag);
    expect(await refusalOfCall(changes[kind](before?.etag ?? "", ["name"])), kind).toMatchObject({
      status: "ABORTED",
      reason: "STALE_ETAG",
    });
    for (const mask of [[], ["owner_account"]])
      expect(await refusalOfCall(changes[kind]("", mask)), kind).toMatchObject({ status: "INVALID_ARGUMENT" });
  }
  await changes.vpc("", ["tags"]);
  await changes.instance("", ["tags"]);
  await changes.securityGroup("", ["description"]);
  expect((await reads.vpc())?.tags).toEqual({ b: "2" });
  expect((await reads.instance())?.tags).toEqual({ b: "2" });
  expect((await reads.securityGroup())?.description).toBe("new");
  const taken = clients.groups.updateSecurityGroup({ securityGroup: { securityGroupId, name: "default" }, updateMask: ["name"] });
  expect(await refusalOfCall(taken)).toMatchObject({ status: "ALREADY_EXISTS", reason: "NAME_TAKEN" });
  await clients.instances.terminateInstance({ instanceId });
  expect(await refusalOfCall(changes.instance("", ["name"]))).toMatchObject({ status: "FAILED_PRECONDITION", reason: "WRONG_STATE" });
});
