import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Attachment } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { arrivals, arrivalsSoFar, flood, floodResult, watchArrivals } from "./support/flood.ts";
import { finished, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { ping, pinging, pingResult } from "./support/traffic.ts";

// C6, C7, N3, N4, N7: what "detached" and "attached" mean, with packets.

const PORT = 9_999;
/** Datagrams a second of a flood. */
const RATE = 20_000;

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;
/** On a host of its own: it sees what the hosts of the others do. */
let third: Guest;

beforeAll(async () => {
  at = await install({ hosts: 3 });
  owner = await at.account();
  network = await makeNetwork(owner.clients);
  third = await runGuest(at, owner, network, { host: 2 });
}, 180_000);
afterAll(async () => await at?.stop());

const detached = (attachment: Attachment | undefined) => attachment?.conditions.find((one) => one.type === "Detached");

async function detach(guest: Guest, options: { force?: boolean; seconds?: bigint } = {}): Promise<Attachment> {
  const { attachments } = await owner.clients.interfaces.detachInterface(
    {
      target: { $case: "attachmentId", value: guest.attachment.attachmentId },
      waitTimeout: { seconds: options.seconds ?? 10n, nanos: 0 },
      force: options.force,
    },
    { deadline: 60_000 },
  );
  return attachments[0]!;
}

async function attach(guest: Guest, instanceId: string): Promise<Attachment> {
  const spec = { interfaceId: guest.interface.interfaceId, instanceId };
  return (await owner.clients.interfaces.attachInterface({ spec, wait: WaitFor.REACHABLE }, { deadline: 60_000 })).attachment!;
}

/** Floods a new guest from `netns` and detaches it meanwhile, with the process `stopped` stopped. Answers the rate, datagrams a second. */
async function detachUnderFlood(from: string, netns: string, stopped: number | undefined): Promise<number> {
  const guest = await runGuest(at, owner, network, { host: 0 });
  const watcher = await watchArrivals(guest.netns, PORT);
  const sender = flood(netns, guest.address, PORT, RATE + 2_000);
  await expect.poll(async () => (await arrivalsSoFar(watcher)).count, { timeout: 20_000 }).toBeGreaterThan(RATE);
  if (stopped !== undefined) process.kill(stopped, "SIGSTOP");
  try {
    const attachment = await detach(guest);
    const answered = Date.now(); // rounded down: against us
    expect(attachment.state).toBe(AttachmentState.DETACHED);
    await delay(1_000); // while the sender goes on
    const { sent, perSecond } = await floodResult(sender);
    const seen = await arrivals(watcher);
    const margin = (answered - seen.lastMs).toFixed(1);
    console.info(`${from}: sent ${sent} at ${perSecond.toFixed(0)}/s, arrived ${seen.count}, the last ${margin} ms before the answer`);
    expect(seen.missed).toBe(0);
    expect(seen.count).toBeLessThan(sent - RATE / 2); // much was sent in vain
    expect(seen.lastMs).toBeLessThan(answered);
    return perSecond;
  } finally {
    if (stopped !== undefined) process.kill(stopped, "SIGCONT");
  }
}

describe("detach", () => {
  it.each([
    { from: "another host", host: 2, deaf: false },
    // It hears of no mapping that goes: what arrives on is the receiving host's to stop.
    { from: "another host whose agent is stopped", host: 2, deaf: true },
    { from: "the same host", host: 0, deaf: false },
  ])("lets no packet of 20,000 a second from $from through after it answered DETACHED", async ({ from, host, deaf }) => {
    const { netns } = host === 2 ? third : await runGuest(at, owner, network, { host });
    // A busy machine may not send that fast: then it is tried again. What must never arrive must not arrive in any try.
    let fastest = 0;
    for (let attempt = 0; attempt < 4 && fastest < RATE; attempt += 1)
      fastest = Math.max(fastest, await detachUnderFlood(from, netns, deaf ? at.cluster.hosts[host]!.agentPid! : undefined));
    expect(fastest).toBeGreaterThanOrEqual(RATE);
  });

  it("answers DETACHING while the host is stopped, can be forced after its lease, and the host that wakes is refused and closes", async () => {
    const guest = await runGuest(at, owner, network, { host: 0 });
    await runGuest(at, owner, network, { host: 0 }); // so that host 0 stays a host of the network: refused for the address, not as a stranger
    const { instanceId: elsewhere, netns } = await runGuest(at, owner, network, { host: 1 });
    const watcher = await watchArrivals(third.netns, PORT);
    const sender = flood(guest.netns, third.address, PORT, 200);
    await expect.poll(async () => (await arrivalsSoFar(watcher)).count, { timeout: 10_000 }).toBeGreaterThan(100);
    const agent = at.cluster.hosts[0]!.agentPid!;
    process.kill(agent, "SIGSTOP");
    try {
      const waiting = await detach(guest, { seconds: 2n });
      expect(waiting.state).toBe(AttachmentState.DETACHING);
      expect(detached(waiting)).toMatchObject({ reason: "WaitTimedOut" });
      const early = callFailure(await detach(guest, { force: true }).catch((error: unknown) => error));
      expect(early).toMatchObject({ status: "FAILED_PRECONDITION", reason: "WRONG_STATE" });

      const leaseEnd = Date.parse(early?.facts["lease_end_time"] ?? "");
      expect(leaseEnd).toBeGreaterThan(Date.now());
      await delay(leaseEnd - Date.now() + 50);
      expect(detached(await detach(guest, { seconds: 0n }))).toMatchObject({ reason: "HostDisconnected" });
      const over = await detach(guest, { force: true });
      const answered = Date.now();
      expect(over.state).toBe(AttachmentState.DETACHED);
      expect(detached(over)).toMatchObject({ reason: "Forced" });

      // The old host forwards on. The others refuse what it sends, by number.
      const drops = async () => (await at.operator.hosts.getHost({ hostId: at.cluster.hosts[2]!.hostId })).host!.hostDropsByReason;
      await expect.poll(async () => (await drops())["SENDER_NOT_OWNER"] ?? 0n, { timeout: 5_000 }).toBeGreaterThan(100n);
      expect((await arrivalsSoFar(watcher)).lastMs).toBeLessThan(answered);

      // The address lives elsewhere now.
      expect((await attach(guest, elsewhere)).state).toBe(AttachmentState.ATTACHED);
      expect(await ping(third.netns, guest.address)).toEqual({ sent: 5, received: 5 });
    } finally {
      process.kill(agent, "SIGCONT");
    }
    const read = async () => (await owner.clients.interfaces.getAttachment({ attachmentId: guest.attachment.attachmentId })).attachment;
    await expect.poll(async () => detached(await read())?.reason, { timeout: 20_000 }).toBe("Applied");
    const { sent } = await floodResult(sender);
    const { count } = await arrivals(watcher);
    console.info(`the stopped host's guest sent ${sent}, of which ${count} arrived, all before force answered`);
    expect(await ping(third.netns, guest.address)).toEqual({ sent: 5, received: 5 });
    expect((await ping(netns, third.address)).received).toBe(5);
  }, 120_000);
});

describe("attach", () => {
  it("carries an address to another host under a running flow, without telling its peer", async () => {
    const guest = await runGuest(at, owner, network, { host: 0 });
    const { instanceId } = await runGuest(at, owner, network, { host: 1 });
    const flow = pinging(third.netns, guest.address, 100);
    await flow.line(/icmp_seq=50 /);
    expect((await detach(guest)).state).toBe(AttachmentState.DETACHED);
    const attachment = await attach(guest, instanceId);
    expect(attachment).toMatchObject({ state: AttachmentState.ATTACHED, hostId: at.cluster.hosts[1]!.hostId });
    expect(attachment.conditions.map((one) => one.reason)).toEqual(["Applied", "AllHostsApplied"]);
    const seen = flow.lines.length;
    await expect.poll(() => flow.lines.length, { timeout: 5_000 }).toBeGreaterThan(seen + 50);
    const { sent, received } = pingResult(await flow.stop());
    console.info(`of ${sent} echo requests at 100/s ${sent - received} found the interface on its way`);
    expect(received).toBeGreaterThan(100);
    expect(sent - received).toBeLessThan(200);
  });

  it("to a stopped instance says nothing of a host, and is filled in and reachable when the instance starts", async () => {
    const { interface: record } = await owner.clients.interfaces.createInterface({
      spec: { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] },
    });
    const { instance } = await owner.clients.instances.runInstance({ stopped: true });
    const { instanceId } = instance!;
    const none = callFailure(await owner.clients.instances.startInstance({ instanceId }).catch((error: unknown) => error));
    expect(none).toMatchObject({ status: "FAILED_PRECONDITION", reason: "NO_INTERFACE" });
    const { attachment } = await owner.clients.interfaces.attachInterface({
      spec: { interfaceId: record!.interfaceId, instanceId },
      wait: WaitFor.REACHABLE,
    });
    expect(attachment).toMatchObject({ state: AttachmentState.ATTACHING, hostId: "", macAddress: "", programmedTime: undefined });
    expect(attachment!.conditions[0]).toMatchObject({ type: "Programmed", reason: "NotPlaced" });
    expect((await ping(third.netns, record!.privateAddresses[0]!, 2)).received).toBe(0);
    const { operation } = await owner.clients.instances.startInstance({ instanceId });
    await finished(owner.clients, operation!.operationId);
    const read = async () => (await owner.clients.interfaces.getAttachment({ attachmentId: attachment!.attachmentId })).attachment!;
    expect(await read()).toMatchObject({ state: AttachmentState.ATTACHED, deviceIndex: 0 });
    expect((await read()).hostId).toMatch(/^host-/);
    expect((await read()).macAddress).toMatch(/^02:/);
    expect((await read()).programmedTime).toBeInstanceOf(Date);
    await expect.poll(async () => (await ping(third.netns, record!.privateAddresses[0]!, 1)).received, { timeout: 5_000 }).toBe(1);
  });
});
