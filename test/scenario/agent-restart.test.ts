import { afterAll, beforeAll, expect, it } from "vitest";
import { Protocol } from "#gen/plenum/network/v1/security_group.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { everything, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation } from "./support/installation.ts";
import { counting, numbering, ping, pinging, pingResult, sendsMore } from "./support/traffic.ts";

// D21: what a host forwards does not depend on its agent, nor on the control plane.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let a: Guest;
let b: Guest;
let group: string;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  const network = await makeNetwork(owner.clients);
  group = network.openGroupId;
  a = await runGuest(at, owner, network, { host: 0 });
  b = await runGuest(at, owner, network, { host: 1 });
}, 180_000);
afterAll(async () => await at?.stop());

it("loses no packet of 100 a second when both agents are killed and come back, nor when the control plane is", async () => {
  const flow = pinging(a.netns, b.address, 100);
  await flow.line(/icmp_seq=100 /, 15_000);
  for (const host of [0, 1]) {
    await at.cluster.killAgent(host, "SIGKILL");
    await at.cluster.waitConnected(host);
  }
  await at.cluster.killControlPlane("SIGKILL");
  for (const host of [0, 1]) await at.cluster.waitConnected(host);
  const seen = flow.lines.length;
  await flow.line(new RegExp(`icmp_seq=${seen + 100} `), 15_000);
  const result = pingResult(await flow.stop());
  expect(result.sent).toBeGreaterThan(300);
  expect(result.received).toBe(result.sent);
});

it("loses none of 5,000 numbered datagrams a second through three kills of agents, one of them during a change of rules", async () => {
  const receiver = counting(b.netns, 6000);
  await receiver.line(/^ready/);
  const sender = numbering(a.netns, b.address, 6000, 5_000);
  await sendsMore(sender, 5_000);
  await at.cluster.killAgent(0, "SIGKILL");
  await at.cluster.waitConnected(0);
  await at.cluster.killAgent(1, "SIGKILL");
  await at.cluster.waitConnected(1);
  // The rules that carry the flow are replaced by others that carry it, while the receiving host's agent dies.
  const extra = { ...everything[0]!, protocol: Protocol.TCP, portFrom: 9, portTo: 9 };
  const changed = owner.clients.groups.replaceSecurityGroupRules({ securityGroupId: group, rules: [...everything, extra] });
  await at.cluster.killAgent(1, "SIGKILL");
  await changed;
  await at.cluster.waitConnected(1);
  const settled = async () => (await at.operator.hosts.listHosts({})).hosts.every((h) => h.appliedVersion === h.wantedVersion);
  await expect.poll(settled, { timeout: 15_000 }).toBe(true);
  await sendsMore(sender, 5_000);
  const sent = Number(/sent (\d+)/.exec(await sender.stop())?.[1]);
  const received = await receiver.stop();
  expect(sent).toBeGreaterThan(10_000);
  expect(received).toContain(`received ${sent} missing 0 late 0`);
});

it("detaches after a restart, and traffic stops", async () => {
  expect((await ping(a.netns, b.address)).received).toBe(5);
  await at.cluster.killAgent(1, "SIGKILL");
  const { attachments } = await owner.clients.interfaces.detachInterface(
    { target: { $case: "interfaceId", value: b.interface.interfaceId }, waitTimeout: { seconds: 30n, nanos: 0 } },
    { deadline: 40_000 },
  );
  expect(attachments.map((x) => x.state)).toEqual([AttachmentState.DETACHED]);
  expect((await ping(a.netns, b.address, 3)).received).toBe(0);
});

it("does not say DETACHED while the host cannot say that traffic stopped, and says why", async () => {
  await at.cluster.stopAgent(0);
  const { attachments } = await owner.clients.interfaces.detachInterface({
    target: { $case: "interfaceId", value: a.interface.interfaceId },
    waitTimeout: { seconds: 1n, nanos: 0 },
  });
  expect(attachments.map((x) => x.state)).toEqual([AttachmentState.DETACHING]);
  const reasons = attachments[0]!.conditions.map((c) => c.reason);
  expect(reasons.some((r) => /HostDisconnected|WaitTimedOut/.test(r))).toBe(true);
  await at.cluster.startAgent(0);
  const state = async () => (await owner.clients.interfaces.getAttachment({ attachmentId: a.attachment.attachmentId })).attachment!.state;
  await expect.poll(state, { timeout: 15_000 }).toBe(AttachmentState.DETACHED);
}, 60_000);
