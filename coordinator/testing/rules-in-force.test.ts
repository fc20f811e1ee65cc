import { afterAll, beforeAll, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { SecurityGroup } from "#gen/plenum/network/v1/security_group.ts";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { detach, scene, seconds } from "./force-scene.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// When a change of rules is in force, and how a caller learns it (C6, N13).

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const { PROGRAMMED } = WaitFor;
const anywhere = { $case: "cidr" as const, value: "0.0.0.0/0" };
const rule = (port: number) => ({
  direction: Direction.INGRESS,
  protocol: Protocol.TCP,
  portFrom: port,
  portTo: port,
  peer: anywhere,
});
const applied = (group: SecurityGroup | undefined) => {
  const { status, reason, message } = group?.conditions.find((one) => one.type === "Applied") ?? {};
  return { status, reason, message };
};
const inForce = { status: ConditionStatus.TRUE, reason: "Applied", message: "" };

test("rules are in force when the hosts of all that carry them have said so; until then the number behind is told, and no host", async () => {
  const at = await scene(world);
  const { groups } = at.clients;
  const securityGroupId = at.defaultGroup;
  const read = async () => applied((await groups.getSecurityGroup({ securityGroupId })).securityGroup);
  expect(await read()).toEqual(inForce);
  const quick = await groups.replaceSecurityGroupRules({ securityGroupId, rules: [rule(80)], wait: PROGRAMMED });
  expect(applied(quick.securityGroup)).toEqual(inForce);

  at.lost.behaviour.acknowledge = false;
  const waited = await groups.replaceSecurityGroupRules({
    securityGroupId,
    rules: [rule(81)],
    wait: PROGRAMMED,
    waitTimeout: seconds(0.5),
  });
  expect(waited.securityGroup?.rules.map((one) => one.portFrom)).toEqual([81]);
  const told = applied(waited.securityGroup);
  expect(told).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitTimedOut" });
  expect(told.message).toContain("after 0.5 s the hosts of 1 of 2 attachments");
  expect(await read()).toMatchObject({ status: ConditionStatus.FALSE, reason: "AttachmentsBehind" });
  const texts = JSON.stringify([told, await read()]);
  for (const host of [at.lost, at.other]) expect(texts).not.toContain(host.hostId);
  // Who does not wait reads the same, and so does who asks for what is there already.
  const again = await groups.replaceSecurityGroupRules({ securityGroupId, rules: [rule(81)] });
  expect(applied(again.securityGroup)).toMatchObject({ reason: "AttachmentsBehind" });

  const patient = groups.replaceSecurityGroupRules({ securityGroupId, rules: [rule(82)], wait: PROGRAMMED, waitTimeout: seconds(20) });
  await expect.poll(() => [...at.lost.rulesets.values()].map((one) => one.rules[0]?.portFrom)).toEqual([82]);
  at.lost.acknowledge();
  expect(applied((await patient).securityGroup)).toEqual(inForce);
});

test("what is being detached keeps its rules to the end, and counts as behind until its host has let go", async () => {
  const at = await scene(world);
  const { groups } = at.clients;
  at.lost.behaviour.acknowledge = false;
  await detach(at, { force: false });
  const change = { securityGroupId: at.defaultGroup, rules: [rule(80)], wait: PROGRAMMED, waitTimeout: seconds(0.5) };
  expect(applied((await groups.replaceSecurityGroupRules(change)).securityGroup).message).toContain("1 of 2 attachments");
  at.lost.acknowledge();
  const read = async () => applied((await groups.getSecurityGroup({ securityGroupId: at.defaultGroup })).securityGroup);
  await expect.poll(read).toEqual(inForce);
});

test("an interface's own change is waited for in the same way", async () => {
  const at = await scene(world);
  const { interfaces } = at.clients;
  const { interfaceId } = at;
  const change = (sourceDestCheck: boolean, wait: WaitFor) =>
    interfaces.updateInterface({
      interface: { interfaceId, sourceDestCheck },
      updateMask: ["source_dest_check"],
      wait,
      waitTimeout: seconds(0.5),
    });
  const programmed = async (answer: ReturnType<typeof change>) =>
    (await answer).interface?.attachments[0]?.conditions.find((one) => one.type === "Programmed");
  expect(await programmed(change(false, PROGRAMMED))).toMatchObject({ status: ConditionStatus.TRUE });
  at.lost.behaviour.acknowledge = false;
  expect(await programmed(change(true, PROGRAMMED))).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitTimedOut" });
  expect(await programmed(change(false, WaitFor.UNSPECIFIED))).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitingForHost" });
});
