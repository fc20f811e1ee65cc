import { setTimeout as delay } from "node:timers/promises";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { AttachmentState, InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Attachment } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { finished, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { runIn } from "./support/run.ts";
import { http, httpServer, ping } from "./support/traffic.ts";

// N4, N11: a host fails whole, its agent and its forwarding. What was on it is taken over elsewhere under the same addresses, and instances
// that were on it end as their attachments say.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;
/** On the host that fails: a service, and an instance with two more interfaces. */
let service: Guest;
let doomed: Guest;
let goes: string;
let stays: string;
/** On the two others: who takes over, and a peer. */
let standby: Guest;
let peer: Guest;

beforeAll(async () => {
  at = await install({ hosts: 3 });
  owner = await at.account();
  network = await makeNetwork(owner.clients);
  service = await runGuest(at, owner, network, { host: 0, argv: httpServer("first") });
  doomed = await runGuest(at, owner, network, { host: 0 });
  standby = await runGuest(at, owner, network, { host: 1, argv: httpServer("second") });
  peer = await runGuest(at, owner, network, { host: 2 });
  // As they were attached, and then the other way round (N11): the one would have stayed, the other gone.
  [goes, stays] = [await another(false), await another(true)];
  await setDelete(goes, true);
  await setDelete(stays, false);
}, 180_000);
afterAll(async () => await at?.stop());

async function another(deleteOnTerminate: boolean): Promise<string> {
  const { interfaces } = owner.clients;
  const spec = { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] };
  const { interfaceId } = (await interfaces.createInterface({ spec })).interface!;
  const { attachment } = await interfaces.attachInterface({
    spec: { interfaceId, instanceId: doomed.instanceId, deleteOnTerminate },
    wait: WaitFor.REACHABLE,
  });
  expect(attachment!.state).toBe(AttachmentState.ATTACHED);
  return interfaceId;
}

async function setDelete(interfaceId: string, deleteOnTerminate: boolean): Promise<void> {
  const { attachments } = (await owner.clients.interfaces.getInterface({ interfaceId })).interface!;
  const attachment = { attachmentId: attachments[0]!.attachmentId, deleteOnTerminate };
  await owner.clients.interfaces.updateAttachment({ attachment, updateMask: ["delete_on_terminate"] });
}

const addressOf = async (interfaceId: string) =>
  (await owner.clients.interfaces.getInterface({ interfaceId })).interface!.privateAddresses[0]!;
const detachedOf = (attachment: Attachment) => attachment.conditions.find((one) => one.type === "Detached");

async function detach(force: boolean): Promise<Attachment> {
  const { attachments } = await owner.clients.interfaces.detachInterface(
    {
      target: { $case: "interfaceId", value: service.interface.interfaceId },
      waitTimeout: { seconds: force ? 20n : 1n, nanos: 0 },
      force,
    },
    { deadline: 60_000 },
  );
  return attachments[0]!;
}

const attach = async (interfaceId: string, instanceId: string) =>
  (
    await owner.clients.interfaces.attachInterface(
      { spec: { interfaceId, instanceId }, wait: WaitFor.REACHABLE, waitTimeout: { seconds: 20n, nanos: 0 } },
      { deadline: 60_000 },
    )
  ).attachment!;

/** The host as a machine that lost its power is seen: nothing is sent or received, and nobody answers for it. */
async function substrate(to: "up" | "down"): Promise<void> {
  const { netns, device } = at.cluster.hosts[0]!;
  expect(await runIn(netns, "ip", ["link", "set", device, to])).toMatchObject({ code: 0 });
}

it("after its host's lease another host answers at the same address, to peers that nobody told", async () => {
  for (const from of [standby, peer]) await expect.poll(() => http(from.netns, service.address), { timeout: 10_000 }).toBe("first");
  for (const id of [goes, stays]) expect(await ping(peer.netns, await addressOf(id))).toEqual({ sent: 5, received: 5 });

  await at.cluster.stopAgent(0);
  await substrate("down");
  expect((await ping(peer.netns, service.address, 3)).received).toBe(0);
  expect((await detach(false)).state).toBe(AttachmentState.DETACHING);
  const early = callFailure(await detach(true).catch((error: unknown) => error));
  expect(early).toMatchObject({ status: "FAILED_PRECONDITION", reason: "WRONG_STATE" });
  const leaseEnd = Date.parse(early?.facts["lease_end_time"] ?? "");
  expect(leaseEnd).toBeGreaterThan(Date.now() - 5_000);
  await delay(Math.max(0, leaseEnd - Date.now()) + 50);
  const over = await detach(true);
  expect(over.state).toBe(AttachmentState.DETACHED);
  expect(detachedOf(over)?.reason).toBe("Forced");

  const attachment = await attach(service.interface.interfaceId, standby.instanceId);
  expect(attachment).toMatchObject({ state: AttachmentState.ATTACHED, hostId: at.cluster.hosts[1]!.hostId });
  const { interface: record } = await owner.clients.interfaces.getInterface({ interfaceId: service.interface.interfaceId });
  expect(record).toMatchObject({ privateAddresses: [service.address], securityGroupIds: [network.openGroupId] });
  const near = await runGuest(at, owner, network, { host: 1 });
  for (const from of [peer, near]) expect(await http(from.netns, service.address)).toBe("second");
}, 120_000);

it("an instance on it ends by force: what was to go with it is gone, what was to stay is taken over elsewhere", async () => {
  const { instances, interfaces } = owner.clients;
  const { instanceId } = doomed;
  const asked = await instances.terminateInstance({ instanceId });
  expect(asked.instance?.state).not.toBe(InstanceState.TERMINATED);
  // Nobody has said that its traffic stopped: nothing is deleted, and nothing free for others.
  expect((await interfaces.getInterface({ interfaceId: goes })).interface?.deletionBlockers).toHaveLength(1);
  const refusal = callFailure(await attach(stays, standby.instanceId).catch((error: unknown) => error));
  expect(refusal).toMatchObject({ reason: "ALREADY_ATTACHED" });

  await instances.terminateInstance({ instanceId, force: true });
  await finished(owner.clients, asked.operation!.operationId);
  expect((await instances.getInstance({ instanceId })).instance?.state).toBe(InstanceState.TERMINATED);
  const gone = callFailure(await interfaces.getInterface({ interfaceId: goes }).catch((error: unknown) => error));
  expect(gone).toMatchObject({ status: "NOT_FOUND" });
  const { interface: kept } = await interfaces.getInterface({ interfaceId: stays });
  expect(kept).toMatchObject({ state: InterfaceState.AVAILABLE, attachments: [], deletionBlockers: [] });
  await attach(stays, standby.instanceId);
  expect(await ping(peer.netns, await addressOf(stays))).toEqual({ sent: 5, received: 5 });
}, 120_000);

it("once it is back it lets go of what it had, and disturbs nobody", async () => {
  expect(existsSync(doomed.netns)).toBe(true);
  await substrate("up");
  await at.cluster.startAgent(0);
  const { interfaces } = owner.clients;
  const { attachmentId } = service.attachment;
  const reason = async () => detachedOf((await interfaces.getAttachment({ attachmentId })).attachment!)?.reason;
  await expect.poll(reason, { timeout: 20_000 }).toBe("Applied");
  await expect.poll(() => existsSync(doomed.netns), { timeout: 20_000 }).toBe(false);
  // A new guest of that very host finds the service where it is now.
  const back = await runGuest(at, owner, network, { host: 0 });
  for (const from of [peer, back]) expect(await http(from.netns, service.address)).toBe("second");
  expect(await ping(back.netns, await addressOf(stays))).toEqual({ sent: 5, received: 5 });
}, 120_000);
