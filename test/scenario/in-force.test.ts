import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { SecurityGroup } from "#gen/plenum/network/v1/security_group.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { everything, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { runIn } from "./support/run.ts";
import { ping, pinging } from "./support/traffic.ts";

// C6, C7, N10, N13: what is said of a change, and what packets say.

const { PROGRAMMED, REACHABLE } = WaitFor;

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  network = await makeNetwork(owner.clients);
}, 180_000);
afterAll(async () => await at?.stop());

const applied = (group: SecurityGroup | undefined) => group?.conditions.find((one) => one.type === "Applied");

/** Runs `work` while a host's agent is stopped. */
async function withoutAgent(host: number, work: () => Promise<void>): Promise<void> {
  const agent = at.cluster.hosts[host]!.agentPid!;
  process.kill(agent, "SIGSTOP");
  try {
    await work();
  } finally {
    process.kill(agent, "SIGCONT");
  }
}

it("rules that a stopped agent has not applied are not said to be in force, and are when no packet passes any more", async () => {
  const { groups } = owner.clients;
  const { securityGroup } = await groups.createSecurityGroup({ vpcId: network.vpcId, name: "changing", rules: everything });
  const securityGroupId = securityGroup!.securityGroupId;
  const from = await runGuest(at, owner, network, { host: 0 });
  const to = await runGuest(at, owner, network, { host: 1, groups: [securityGroupId] });
  const also = await runGuest(at, owner, network, { host: 0, groups: [securityGroupId] });
  expect(applied((await groups.getSecurityGroup({ securityGroupId })).securityGroup)).toMatchObject({ status: ConditionStatus.TRUE });
  expect(await ping(from.netns, to.address)).toEqual({ sent: 5, received: 5 });

  await withoutAgent(1, async () => {
    const waitTimeout = { seconds: 2n, nanos: 0 };
    const answer = await groups.replaceSecurityGroupRules({ securityGroupId, rules: [], wait: PROGRAMMED, waitTimeout });
    const told = applied(answer.securityGroup);
    expect(told).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitTimedOut" });
    expect(told?.message).toContain("1 of 2 attachments");
    expect(told?.message).not.toContain(at.cluster.hosts[1]!.hostId);
    // That is the truth: the former rules are in force there, and the new ones at the other.
    expect(await ping(from.netns, to.address)).toEqual({ sent: 5, received: 5 });
    expect((await ping(from.netns, also.address, 3)).received).toBe(0);
  });
  const said = async () => applied((await groups.getSecurityGroup({ securityGroupId })).securityGroup)?.status;
  await expect.poll(said, { timeout: 20_000 }).toBe(ConditionStatus.TRUE);
  expect((await ping(from.netns, to.address, 3)).received).toBe(0);
});

it("a wait that ends with TRUE is followed by no packet", async () => {
  const { groups } = owner.clients;
  const { securityGroup } = await groups.createSecurityGroup({ vpcId: network.vpcId, name: "waited", rules: everything });
  const securityGroupId = securityGroup!.securityGroupId;
  const from = await runGuest(at, owner, network, { host: 0 });
  const to = await runGuest(at, owner, network, { host: 1, groups: [securityGroupId] });
  const flow = pinging(from.netns, to.address, 100);
  await flow.line(/icmp_seq=50 /, 15_000);
  const answer = await groups.replaceSecurityGroupRules({ securityGroupId, rules: [], wait: PROGRAMMED });
  expect(applied(answer.securityGroup)).toMatchObject({ status: ConditionStatus.TRUE });
  await delay(50); // what was answered before is printed
  const seen = flow.lines.length;
  await delay(1_000);
  expect(flow.lines.length).toBe(seen);
  await flow.stop();
});

/** An interface of the owner's on host 0, and an account that may set its addresses. */
async function withSetter(): Promise<{ guest: Guest; setter: Clients }> {
  const guest = await runGuest(at, owner, network, { host: 0 });
  const { accountId, clients: setter } = await at.account();
  const { interfaceId } = guest.interface;
  await owner.clients.interfaces.updateInterface({
    interface: { interfaceId, access: { addressSetters: [{ accountId }] } },
    updateMask: ["access"],
  });
  return { guest, setter };
}

it("addresses that a setter sets reach the guest that runs: the new one answers, the old one does not", async () => {
  const { guest, setter } = await withSetter();
  const from = await runGuest(at, owner, network, { host: 1 });
  expect((await ping(from.netns, guest.address)).received).toBe(5);
  const { interfaceId } = guest.interface;
  const privateAddresses = ["10.0.1.200", "10.0.1.201"];
  const set = await setter.interfaces.setAddresses({ interfaceId, privateAddresses, wait: REACHABLE });
  expect(set.interface?.privateAddresses).toEqual(privateAddresses);
  for (const address of privateAddresses) expect(await ping(from.netns, address)).toEqual({ sent: 5, received: 5 });
  expect((await ping(from.netns, guest.address, 3)).received).toBe(0);
  const { stdout } = await runIn(guest.netns, "ip", ["-brief", "-4", "address", "show", "eth0"]);
  expect(stdout.match(/10\.0\.1\.\d+/g)).toEqual(privateAddresses);
  // From within, too, with the new one as its source.
  expect((await ping(guest.netns, from.address)).received).toBe(5);
});

it("an address that was given up is nobody else's while the host has not said so, and works elsewhere after", async () => {
  const { guest, setter } = await withSetter();
  const elsewhere = await runGuest(at, owner, network, { host: 1 });
  const { interfaces } = owner.clients;
  const spec = { subnetId: network.subnetId, securityGroupIds: [network.openGroupId], privateAddresses: [guest.address] };
  const heir = (await interfaces.createInterface({ spec })).interface!.interfaceId;
  const attach = () => interfaces.attachInterface({ spec: { interfaceId: heir, instanceId: elsewhere.instanceId }, wait: REACHABLE });
  await withoutAgent(0, async () => {
    await setter.interfaces.setAddresses({ interfaceId: guest.interface.interfaceId });
    expect(callFailure(await attach().catch((error: unknown) => error))).toMatchObject({ reason: "ADDRESS_IN_USE" });
  });
  const attached = () =>
    attach().then(
      () => "attached",
      (error: unknown) => callFailure(error)?.reason,
    );
  await expect.poll(attached, { timeout: 20_000 }).toBe("attached");
  const from = await runGuest(at, owner, network, { host: 0 });
  expect(await ping(from.netns, guest.address)).toEqual({ sent: 5, received: 5 });
});
