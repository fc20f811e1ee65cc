import { afterAll, beforeAll, expect, test } from "vitest";
import { Direction } from "#gen/plenum/network/v1/security_group.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { detach, lose, scene } from "./force-scene.ts";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// N14: an interface names its owner, and whatever cannot be deleted says what is in the way, by id, and what to do about each.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

/** What is named, how many more, and what the message says of each, in the order of the ids. */
async function blockersOf(call: Promise<unknown>) {
  const { status, reason, facts, message = "" } = await refusalOfCall(call);
  expect({ status, reason }).toEqual({ status: "FAILED_PRECONDITION", reason: "HAS_DEPENDANTS" });
  const list = /is still needed by (.*)$/.exec(message)?.[1] ?? "";
  const groups = [...list.matchAll(/([^;()]+) \(([^)]*)\)/g)].map(([, named = "", remedy = ""]) => ({ named, remedy }));
  const said = new Map(
    groups.flatMap(({ named, remedy }) =>
      named
        .trim()
        .split(", ")
        .map((id) => [id, remedy] as const),
    ),
  );
  const ids = (facts?.["blockers"] ?? "").split(",").filter((id) => id !== "");
  expect([...said.keys()]).toEqual(ids);
  return { said, more: facts?.["more"] };
}

test("an interface names its attachment: to detach it, or, while its host is silent, to wait or force; then it goes", async () => {
  const at = await scene(world);
  const { interfaces } = at.clients;
  const remove = () => interfaces.deleteInterface({ interfaceId: at.interfaceId });
  const { interface: record } = await interfaces.getInterface({ interfaceId: at.interfaceId });
  const [attachmentId = ""] = record?.deletionBlockers ?? [];
  expect(record).toMatchObject({ ownerAccount: at.accountId, deletionBlockers: [record?.attachments[0]?.attachmentId] });
  expect(await blockersOf(remove())).toEqual({ said: new Map([[attachmentId, `detach it from ${at.instanceId}`]]), more: "0" });

  await lose(world, at, 20);
  expect((await detach(at, { force: false }))?.state).toBe(AttachmentState.DETACHING);
  expect((await blockersOf(remove())).said.get(attachmentId)).toContain("wait until it is DETACHED, or force it");
  expect((await interfaces.getInterface({ interfaceId: at.interfaceId })).interface?.deletionBlockers).toEqual([attachmentId]);
  at.other.behaviour.networkVersions.set(at.networkId, 1n << 40n);
  at.other.acknowledge();
  expect((await detach(at, { force: true, wait: 5 }))?.state).toBe(AttachmentState.DETACHED);
  expect((await interfaces.getInterface({ interfaceId: at.interfaceId })).interface?.deletionBlockers).toEqual([]);
  await remove();
});

test("a group names the interfaces that carry it and the groups whose rules name it", async () => {
  const { clients } = await world.account();
  const { vpcId, subnetId, defaultGroup } = await world.network(clients);
  const { groups, interfaces } = clients;
  const group = async (name: string) => (await groups.createSecurityGroup({ vpcId, name })).securityGroup?.securityGroupId ?? "";
  const [peer, naming] = [await group("peer"), await group("naming")];
  const rule = { direction: Direction.INGRESS, peer: { $case: "securityGroupId" as const, value: peer } };
  await groups.addSecurityGroupRules({ securityGroupId: naming, rules: [rule] });
  const made = await interfaces.createInterface({ spec: { subnetId, securityGroupIds: [peer] } });
  const interfaceId = made.interface?.interfaceId ?? "";
  const remove = () => groups.deleteSecurityGroup({ securityGroupId: peer });
  const { said, more } = await blockersOf(remove());
  expect([...said]).toEqual([
    [interfaceId, "give that interface other groups, or delete it"],
    [naming, "take out its rules that name this one"],
  ]);
  expect(more).toBe("0");
  await interfaces.updateInterface({ interface: { interfaceId, securityGroupIds: [defaultGroup] }, updateMask: ["security_group_ids"] });
  expect([...(await blockersOf(remove())).said.keys()]).toEqual([naming]);
  await groups.removeSecurityGroupRules({ securityGroupId: naming, rules: [rule] });
  await remove();
  const refusal = await refusalOfCall(groups.deleteSecurityGroup({ securityGroupId: defaultGroup }));
  expect(refusal).toMatchObject({ reason: "HAS_DEPENDANTS", facts: { blockers: vpcId, more: "0" } });
  expect(refusal.message).toContain("delete that VPC");
});

test("a subnet and a VPC name twenty of what is in them, and count the rest", async () => {
  const { clients } = await world.account();
  const { vpcId, subnetId } = await world.network(clients);
  const { interfaces } = await clients.interfaces.batchCreateInterfaces({ specs: Array.from({ length: 25 }, () => ({ subnetId })) });
  const ofSubnet = await blockersOf(clients.subnets.deleteSubnet({ subnetId }));
  expect([...ofSubnet.said.keys()]).toEqual(
    interfaces
      .map((one) => one.interfaceId)
      .toSorted()
      .slice(0, 20),
  );
  expect(new Set(ofSubnet.said.values())).toEqual(new Set(["detach and delete that interface"]));
  expect(ofSubnet.more).toBe("5");
  const { securityGroup } = await clients.groups.createSecurityGroup({ vpcId, name: "g" });
  const ofVpc = await blockersOf(clients.vpcs.deleteVpc({ vpcId }));
  expect([...ofVpc.said].slice(0, 2)).toEqual([
    [subnetId, "delete that subnet"],
    [securityGroup?.securityGroupId, "delete that security group"],
  ]);
  expect([ofVpc.said.size, ofVpc.more]).toEqual([20, "7"]);
});

test("every interface names its owner, however it was made and whatever it is attached to", async () => {
  const owner = await world.account();
  const other = await world.account();
  const { subnetId } = await world.network(owner.clients);
  const { clients, accountId } = owner;
  const access = { attachers: [{ accountId: other.accountId }] };
  const alone = (await clients.interfaces.createInterface({ spec: { subnetId, access } })).interface;
  const byOperator = (await world.operator.interfaces.createInterface({ spec: { subnetId } })).interface;
  await clients.instances.runInstance({ stopped: true, interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
  const theirs = (await other.clients.instances.runInstance({ stopped: true })).instance?.instanceId;
  await other.clients.interfaces.attachInterface({ spec: { interfaceId: alone?.interfaceId, instanceId: theirs } });
  const { interfaces } = await clients.interfaces.listInterfaces({});
  expect(interfaces.map((one) => one.ownerAccount)).toEqual([accountId, accountId, accountId]);
  expect(interfaces.map((one) => one.interfaceId)).toContain(byOperator?.interfaceId);
  expect((await other.clients.interfaces.listInterfaces({})).interfaces).toMatchObject([{ ownerAccount: accountId }]);
});
