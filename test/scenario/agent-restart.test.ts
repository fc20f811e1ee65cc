import { afterAll, beforeAll, expect, it } from "vitest";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation } from "./support/installation.ts";
import { ping, pinging, pingResult } from "./support/traffic.ts";

// D21: what a host forwards does not depend on its agent, nor on the control plane.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let a: Guest;
let b: Guest;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  const network = await makeNetwork(owner.clients);
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
