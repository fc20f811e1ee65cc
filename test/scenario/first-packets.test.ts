import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AttachmentState, InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/rpc.ts";
import { everything, finished, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { http, httpServer, ping } from "./support/traffic.ts";

// Rows N1, N2, N3, N11, N14, N17, M1, M2: an interface record carries real packets, and only where it may.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let red: Network;
let blue: Network;
let redClient: Guest;
let redServer: Guest;
let blueClient: Guest;
let blueServer: Guest;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  // Two VPCs with the same addresses, servers at the same one.
  red = await makeNetwork(owner.clients);
  blue = await makeNetwork(owner.clients);
  redServer = await runGuest(at, owner, red, { host: 1, address: "10.0.1.20", argv: httpServer("red") });
  blueServer = await runGuest(at, owner, blue, { host: 1, address: "10.0.1.20", argv: httpServer("blue") });
  redClient = await runGuest(at, owner, red, { host: 0, address: "10.0.1.10" });
  blueClient = await runGuest(at, owner, blue, { host: 0, address: "10.0.1.10" });
}, 180_000);
afterAll(async () => await at?.stop());

describe("traffic", () => {
  it("flows across hosts inside a VPC, and each VPC has its own 10.0.1.20", async () => {
    expect(await ping(redClient.netns, "10.0.1.20")).toEqual({ sent: 5, received: 5 });
    // RUNNING means that the process was started; what it takes to listen is its own.
    await expect.poll(() => http(redClient.netns, "10.0.1.20"), { timeout: 10_000 }).toBe("red");
    await expect.poll(() => http(blueClient.netns, "10.0.1.20"), { timeout: 10_000 }).toBe("blue");
  });

  it("flows between two guests of one host", async () => {
    const neighbour = await runGuest(at, owner, red, { host: 1 });
    expect((await ping(neighbour.netns, "10.0.1.20")).received).toBe(5);
  });

  it("does not flow to an address that only the other VPC has", async () => {
    const only = await runGuest(at, owner, blue, { host: 1, address: "10.0.1.77" });
    expect((await ping(blueClient.netns, only.address)).received).toBe(5); // the control: it answers to its own
    expect((await ping(redClient.netns, only.address, 3)).received).toBe(0);
    const { interface: seen } = await owner.clients.interfaces.getInterface({ interfaceId: redClient.interface.interfaceId });
    expect(seen!.traffic).toBeDefined();
  });

  it("is counted to the byte at both ends", async () => {
    const a = await runGuest(at, owner, red, { host: 0 });
    const b = await runGuest(at, owner, red, { host: 1 });
    expect((await ping(a.netns, b.address, 7)).received).toBe(7);
    const traffic = async (g: Guest) =>
      (await owner.clients.interfaces.getInterface({ interfaceId: g.interface.interfaceId })).interface!.traffic;
    // Seven echo requests of 84 bytes one way and seven answers the other; hosts report each second.
    await expect.poll(async () => (await traffic(a))?.ingressBytes, { timeout: 5_000 }).toBe(7n * 84n);
    expect(await traffic(a)).toMatchObject({ egressPackets: 7n, egressBytes: 588n, ingressPackets: 7n, ingressBytes: 588n });
    await expect.poll(async () => (await traffic(b))?.egressBytes, { timeout: 5_000 }).toBe(7n * 84n);
    expect(await traffic(b)).toMatchObject({ egressPackets: 7n, egressBytes: 588n, ingressPackets: 7n, ingressBytes: 588n });
  });
});

describe("security groups", () => {
  it("pass nothing without an allowing rule, and pass with the next packet after one is there", async () => {
    const { securityGroup } = await owner.clients.groups.createSecurityGroup({ vpcId: red.vpcId, name: "closed" });
    const groupId = securityGroup!.securityGroupId;
    const closed = await runGuest(at, owner, red, { host: 1, groups: [groupId], argv: httpServer("closed") });
    expect((await ping(redClient.netns, closed.address, 3)).received).toBe(0);
    expect(await http(redClient.netns, closed.address)).toBeUndefined();
    const dropped = async () =>
      (await owner.clients.interfaces.getInterface({ interfaceId: closed.interface.interfaceId })).interface!.traffic?.droppedPackets ?? 0n;
    await expect.poll(dropped, { timeout: 5_000 }).toBeGreaterThanOrEqual(3n);

    await owner.clients.groups.replaceSecurityGroupRules({ securityGroupId: groupId, rules: everything });
    await expect.poll(async () => (await ping(redClient.netns, closed.address, 1)).received, { timeout: 5_000 }).toBe(1);
    await expect.poll(() => http(redClient.netns, closed.address), { timeout: 10_000 }).toBe("closed");

    await owner.clients.groups.replaceSecurityGroupRules({ securityGroupId: groupId, rules: [] });
    await expect.poll(async () => (await ping(redClient.netns, closed.address, 1)).received, { timeout: 5_000 }).toBe(0);
  });
});

describe("detach and attach", () => {
  it("stops traffic before it answers, keeps the record, and carries it to another host under the same address", async () => {
    const first = await runGuest(at, owner, red, { host: 1 });
    expect((await ping(redClient.netns, first.address)).received).toBe(5); // it flowed
    const { attachments } = await owner.clients.interfaces.detachInterface({
      target: { $case: "interfaceId", value: first.interface.interfaceId },
    });
    expect(attachments.map((a) => a.state)).toEqual([AttachmentState.DETACHED]);
    expect((await ping(redClient.netns, first.address, 3)).received).toBe(0);
    const { interface: kept } = await owner.clients.interfaces.getInterface({ interfaceId: first.interface.interfaceId });
    expect(kept).toMatchObject({
      state: InterfaceState.AVAILABLE,
      privateAddresses: [first.address],
      attachments: [],
      deletionBlockers: [],
    });

    const other = await runGuest(at, owner, red, { host: 0 });
    const { attachment } = await owner.clients.interfaces.attachInterface({
      spec: { interfaceId: first.interface.interfaceId, instanceId: other.instanceId },
      wait: WaitFor.REACHABLE,
    });
    expect(attachment).toMatchObject({ state: AttachmentState.ATTACHED, deviceIndex: 1 });
    expect((await ping(redClient.netns, first.address)).received).toBe(5);
    const found = await at.operator.mappings.lookupMapping({ networkId: red.networkId, address: first.address });
    expect(found.mapping?.targets.map((t) => t.hostId)).toEqual([at.cluster.hosts[0]!.hostId]);
  });

  it("refuses an address that another attached record has, and names it", async () => {
    const specs = [1, 2].map(() => ({ subnetId: red.subnetId, privateAddresses: ["10.0.1.99"], securityGroupIds: [red.openGroupId] }));
    const { interfaces } = await owner.clients.interfaces.batchCreateInterfaces({ specs });
    const attach = (i: number) =>
      owner.clients.interfaces.attachInterface({ spec: { interfaceId: interfaces[i]!.interfaceId, instanceId: redServer.instanceId } });
    expect((await attach(0)).attachment!.state).toBe(AttachmentState.ATTACHED);
    const failure = callFailure(await attach(1).catch((e: unknown) => e));
    expect(failure).toMatchObject({ status: "FAILED_PRECONDITION", reason: "ADDRESS_IN_USE" });
    expect(failure!.message).toContain("10.0.1.99");
  });

  it("deletes with the instance what says so, and keeps what does not", async () => {
    const goes = await runGuest(at, owner, red, { host: 0, deleteOnTerminate: true });
    const stays = await runGuest(at, owner, red, { host: 0, deleteOnTerminate: false });
    expect((await ping(redClient.netns, goes.address)).received).toBe(5);
    for (const guest of [goes, stays]) {
      const { operation } = await owner.clients.instances.terminateInstance({ instanceId: guest.instanceId });
      await finished(owner.clients, operation!.operationId);
    }
    expect((await ping(redClient.netns, goes.address, 3)).received).toBe(0);
    const gone = await owner.clients.interfaces.getInterface({ interfaceId: goes.interface.interfaceId }).catch((e: unknown) => e);
    expect(callFailure(gone)).toMatchObject({ status: "NOT_FOUND", reason: "RESOURCE_NOT_FOUND" });
    const { interface: kept } = await owner.clients.interfaces.getInterface({ interfaceId: stays.interface.interfaceId });
    expect(kept).toMatchObject({ state: InterfaceState.AVAILABLE, privateAddresses: [stays.address] });
  });

  it("keeps an attachment through stop and start, on whatever host", async () => {
    const guest = await runGuest(at, owner, blue, { host: 1, argv: httpServer("back") });
    await expect.poll(() => http(blueClient.netns, guest.address), { timeout: 10_000 }).toBe("back");
    const stop = await owner.clients.instances.stopInstance({ instanceId: guest.instanceId });
    await finished(owner.clients, stop.operation!.operationId);
    expect(await http(blueClient.netns, guest.address)).toBeUndefined();
    const start = await owner.clients.instances.startInstance({ instanceId: guest.instanceId });
    await finished(owner.clients, start.operation!.operationId);
    await expect.poll(() => http(blueClient.netns, guest.address), { timeout: 5_000 }).toBe("back");
  });
});

describe("mappings", () => {
  it("answer with where an address is, and say so when it is nowhere", async () => {
    const { results } = await at.operator.mappings.batchLookupMappings({
      lookups: [
        { networkId: red.networkId, address: "10.0.1.20" },
        { networkId: red.networkId, address: "10.0.1.250" },
      ],
    });
    expect(results.map((r) => r.found)).toEqual([true, false]);
    expect(results[0]!.mapping!.targets).toMatchObject([
      { attachmentId: redServer.attachment.attachmentId, hostId: at.cluster.hosts[1]!.hostId },
    ]);
    expect(results[0]!.version).toBe(results[1]!.version);
    expect(blueServer.attachment.wireId).not.toBe(redServer.attachment.wireId);
  });
});
