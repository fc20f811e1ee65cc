import { afterAll, beforeAll, expect, it } from "vitest";
import { callFailure } from "#lib/rpc/client-error.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Installation, Network } from "./support/installation.ts";
import { ping } from "./support/traffic.ts";

// N17: a VPC is a block with a first subnet and more; its subnets reach each other, and another VPC with the very same blocks is never met.

let at: Installation;
let owner: { accountId: string; clients: Clients };

beforeAll(async () => {
  at = await install();
  owner = await at.account();
}, 180_000);
afterAll(async () => await at?.stop());

/** A VPC with two subnets, and a guest in each, with the same addresses in every one. */
async function twoSubnets() {
  const network = await makeNetwork(owner.clients);
  const { subnet } = await owner.clients.subnets.createSubnet({ vpcId: network.vpcId, cidrBlock: "10.0.2.0/24" });
  const other: Network = { ...network, subnetId: subnet!.subnetId };
  return {
    network,
    near: await runGuest(at, owner, network, { host: 0, address: "10.0.1.10" }),
    far: await runGuest(at, owner, other, { host: 1, address: "10.0.2.10" }),
    beside: await runGuest(at, owner, other, { host: 0, address: "10.0.2.11" }),
  };
}

it("subnets of one VPC reach each other, across hosts and on one; those of a VPC with the same blocks are others", async () => {
  const [red, blue] = [await twoSubnets(), await twoSubnets()];
  for (const { near, far, beside } of [red, blue]) {
    expect(await ping(near.netns, "10.0.2.10")).toEqual({ sent: 5, received: 5 });
    expect(await ping(near.netns, "10.0.2.11")).toEqual({ sent: 5, received: 5 });
    expect(await ping(far.netns, "10.0.1.10")).toEqual({ sent: 5, received: 5 });
    expect(await ping(beside.netns, "10.0.1.10")).toEqual({ sent: 5, received: 5 });
  }
  // The same address answers in each; taken from one VPC, it is gone there and nowhere else.
  await owner.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: red.far.interface.interfaceId } });
  expect((await ping(red.near.netns, "10.0.2.10", 3)).received).toBe(0);
  expect(await ping(blue.near.netns, "10.0.2.10")).toEqual({ sent: 5, received: 5 });
  const carried = async (interfaceId: string) =>
    (await owner.clients.interfaces.getInterface({ interfaceId })).interface!.traffic!.ingressPackets;
  // Echoes of two neighbours and answers of two addresses: what was sent in the other VPC is not among them.
  await expect.poll(() => carried(blue.far.interface.interfaceId), { timeout: 5_000 }).toBe(15n);
  await expect.poll(() => carried(red.far.interface.interfaceId), { timeout: 5_000 }).toBe(10n);
}, 120_000);

it("a subnet is a part of its VPC's block that no other has, and a VPC begins with one", async () => {
  const { clients } = owner;
  const { vpcId, subnetId } = await makeNetwork(clients);
  const refusal = async (cidrBlock: string) =>
    callFailure(await clients.subnets.createSubnet({ vpcId, cidrBlock }).catch((error: unknown) => error));
  expect(await refusal("10.1.0.0/24")).toMatchObject({ status: "INVALID_ARGUMENT", facts: { field: "cidr_block" } });
  expect(await refusal("10.0.1.128/25")).toMatchObject({
    status: "FAILED_PRECONDITION",
    reason: "CIDR_OVERLAP",
    facts: { conflicts_with: subnetId },
  });
  const bare = callFailure(await clients.vpcs.createVpc({ cidrBlock: "10.0.0.0/16" }).catch((error: unknown) => error));
  expect(bare).toMatchObject({ status: "INVALID_ARGUMENT", facts: { field: "first_subnet" } });
});
