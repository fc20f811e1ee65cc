import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Attachment, Interface } from "#gen/plenum/nivc/v1/interface.ts";
import type { DetachInterfaceRequest } from "#gen/plenum/nivc/v1/interface_service.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { finished, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { runIn } from "./support/run.ts";
import { ping } from "./support/traffic.ts";

// N3, N7, N14: the ways to end attachments, what is made to an instance that does not run, and what a record says of where it is.

const { REACHABLE } = WaitFor;

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;
let peer: Guest;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  network = await makeNetwork(owner.clients);
  peer = await runGuest(at, owner, network, { host: 0 });
}, 180_000);
afterAll(async () => await at?.stop());

async function record(): Promise<{ interfaceId: string; address: string }> {
  const spec = { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] };
  const { interfaceId, privateAddresses } = (await owner.clients.interfaces.createInterface({ spec })).interface!;
  return { interfaceId, address: privateAddresses[0]! };
}

const attach = async (interfaceId: string, instanceId: string): Promise<Attachment> =>
  (await owner.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait: REACHABLE })).attachment!;
const read = async (interfaceId: string): Promise<Interface> => (await owner.clients.interfaces.getInterface({ interfaceId })).interface!;
const answers = async (address: string): Promise<number> => (await ping(peer.netns, address, 3)).received;

describe("a detach", () => {
  type Target = DetachInterfaceRequest["target"];
  it.each<{ by: string; target: (guest: Guest, second: Attachment) => Target; left: number }>([
    { by: "interface", target: (_guest, { interfaceId }) => ({ $case: "interfaceId", value: interfaceId }), left: 1 },
    { by: "attachment", target: (_guest, { attachmentId }) => ({ $case: "attachmentId", value: attachmentId }), left: 1 },
    { by: "instance", target: ({ instanceId }) => ({ $case: "instanceId", value: instanceId }), left: 0 },
  ])("by $by ends what it names, and no other traffic", async ({ target, left }) => {
    const guest = await runGuest(at, owner, network, { host: 1 });
    const second = await record();
    const attachment = await attach(second.interfaceId, guest.instanceId);
    for (const address of [guest.address, second.address]) expect(await answers(address)).toBe(3);
    const { attachments } = await owner.clients.interfaces.detachInterface({ target: target(guest, attachment) });
    expect(attachments.map((one) => one.state)).toEqual(Array.from({ length: 2 - left }, () => AttachmentState.DETACHED));
    expect(await answers(second.address)).toBe(0);
    expect(await answers(guest.address)).toBe(left * 3);
    const there = (await owner.clients.interfaces.listAttachments({ instanceId: guest.instanceId })).attachments;
    expect(there.filter((one) => one.state === AttachmentState.ATTACHED)).toHaveLength(left);
  });
});

describe("an instance", () => {
  it("that is stopped takes attachments, which say nothing of a place, and come true when it starts; without any it does not", async () => {
    const { instances, interfaces } = owner.clients;
    const guest = await runGuest(at, owner, network, { host: 1 });
    const stop = await instances.stopInstance({ instanceId: guest.instanceId });
    await finished(owner.clients, stop.operation!.operationId);
    const second = await record();
    expect(await attach(second.interfaceId, guest.instanceId)).toMatchObject({
      state: AttachmentState.ATTACHING,
      hostId: "",
      macAddress: "",
    });
    expect((await read(guest.interface.interfaceId)).attachments[0]).toMatchObject({ hostId: "", macAddress: "" });
    for (const address of [guest.address, second.address]) expect(await answers(address)).toBe(0);

    const start = await instances.startInstance({ instanceId: guest.instanceId });
    await finished(owner.clients, start.operation!.operationId);
    for (const { interfaceId } of [guest.interface, second]) {
      const attachment = async () => (await read(interfaceId)).attachments[0]!;
      // That the instance runs does not say that its interfaces do: each says so itself.
      await expect.poll(async () => (await attachment()).state, { timeout: 10_000 }).toBe(AttachmentState.ATTACHED);
      expect((await attachment()).hostId).toMatch(/^host-/);
      expect((await attachment()).macAddress).toMatch(/^02:/);
    }
    for (const address of [guest.address, second.address]) await expect.poll(() => answers(address), { timeout: 10_000 }).toBe(3);

    const again = await instances.stopInstance({ instanceId: guest.instanceId });
    await finished(owner.clients, again.operation!.operationId);
    await interfaces.detachInterface({ target: { $case: "instanceId", value: guest.instanceId } });
    const bare = callFailure(await instances.startInstance({ instanceId: guest.instanceId }).catch((error: unknown) => error));
    expect(bare).toMatchObject({ status: "FAILED_PRECONDITION", reason: "NO_INTERFACE" });
  }, 60_000);
});

describe("what a record says of its place", () => {
  it("is the guest's own device, and is true again after a move, with its times and its owner", async () => {
    const [first, second] = [await runGuest(at, owner, network, { host: 0 }), await runGuest(at, owner, network, { host: 1 })];
    const { interfaceId, address } = await record();
    /** The MAC of the device that has the address inside the guest. */
    const deviceOf = async (netns: string): Promise<{ name: string; mac: string }> => {
      const { stdout } = await runIn(netns, "ip", ["-j", "address", "show"]);
      const devices = JSON.parse(stdout) as { ifname: string; address: string; addr_info: { local: string }[] }[];
      const found = devices.find((one) => one.addr_info.some((info) => info.local === address));
      return { name: found?.ifname ?? "", mac: found?.address ?? "" };
    };
    for (const [host, guest] of [first, second].entries()) {
      const before = Date.now();
      await attach(interfaceId, guest.instanceId);
      const { ownerAccount, attachments } = await read(interfaceId);
      expect(ownerAccount).toBe(owner.accountId);
      expect(attachments).toHaveLength(1);
      const [attachment] = attachments;
      const device = await deviceOf(guest.netns);
      expect(attachment).toMatchObject({
        state: AttachmentState.ATTACHED,
        instanceId: guest.instanceId,
        hostId: at.cluster.hosts[host]!.hostId,
        macAddress: device.mac,
        attachmentOwner: owner.accountId,
        createdBy: "owner",
      });
      expect(device.name).toBe(`eth${attachment!.deviceIndex}`);
      for (const time of [attachment!.attachTime, attachment!.programmedTime]) expect(time!.getTime()).toBeGreaterThan(before - 5_000);
      expect(await answers(address)).toBe(3);
      const { attachments: ended } = await owner.clients.interfaces.detachInterface({
        target: { $case: "interfaceId", value: interfaceId },
      });
      expect(ended[0]).toMatchObject({ attachmentId: attachment!.attachmentId, detachedBy: "owner" });
      expect(ended[0]!.detachTime!.getTime()).toBeGreaterThanOrEqual(attachment!.programmedTime!.getTime());
      expect(await deviceOf(guest.netns)).toEqual({ name: "", mac: "" });
    }
    // What it has carried is summed over both places.
    const traffic = async () => (await read(interfaceId)).traffic!;
    await expect.poll(async () => (await traffic()).ingressPackets, { timeout: 5_000 }).toBe(6n);
    expect(await traffic()).toMatchObject({ ingressBytes: 6n * 84n, egressPackets: 6n, egressBytes: 6n * 84n });
  }, 60_000);
});
