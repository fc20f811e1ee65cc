import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { counting, numbering } from "./support/traffic.ts";

// C22, D18, N14: every byte is counted once, whatever dies, also where a host begins from nothing.

/** IP header, UDP header, and the number. */
const DATAGRAM_BYTES = 36n;
/** Where nobody is: what is sent there is dropped. */
const NOWHERE = "10.0.1.250";

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  network = await makeNetwork(owner.clients);
}, 180_000);
afterAll(async () => await at?.stop());

/** On two hosts that know of each other's: after a kill, the streams that tell them come back one by one. */
async function pair(): Promise<[Guest, Guest]> {
  const guests: [Guest, Guest] = [await runGuest(at, owner, network, { host: 0 }), await runGuest(at, owner, network, { host: 1 })];
  for (const { attachment } of guests) await expect.poll(() => isReachable(attachment.attachmentId), { timeout: 20_000 }).toBe(true);
  return guests;
}

async function isReachable(attachmentId: string): Promise<boolean> {
  const { attachment } = await owner.clients.interfaces.getAttachment({ attachmentId });
  return attachment!.conditions.some(({ type, status }) => type === "Reachable" && status === ConditionStatus.TRUE);
}

async function traffic({ attachment: { attachmentId } }: Guest) {
  const { attachment } = await owner.clients.interfaces.getAttachment({ attachmentId });
  return attachment!.traffic!;
}

/** Numbered datagrams from one to the other while `during` runs; how many, all of which arrived. */
async function flow(from: Guest, to: Guest, perSecond: number, during: () => Promise<unknown>): Promise<bigint> {
  const receiver = counting(to.netns, 6000);
  await receiver.line(/^ready/);
  const sender = numbering(from.netns, to.address, 6000, perSecond);
  await sender.line(/^first/);
  await during();
  const sent = /sent (\d+)/.exec(await sender.stop())?.[1] ?? "";
  expect(await receiver.stop()).toContain(`received ${sent} missing 0 late 0`);
  return BigInt(sent);
}

/** The API says just this many for both ends, and goes on saying so. */
async function shows(from: Guest, to: Guest, datagrams: bigint): Promise<void> {
  const bytes = async () => [(await traffic(from)).egressBytes, (await traffic(to)).ingressBytes];
  const expected = [datagrams * DATAGRAM_BYTES, datagrams * DATAGRAM_BYTES];
  await expect.poll(bytes, { timeout: 20_000 }).toEqual(expected);
  await delay(2_500); // two more rounds of readings
  expect(await bytes()).toEqual(expected);
}

const settled = async () => (await at.operator.hosts.listHosts({})).hosts.every((host) => host.appliedVersion === host.wantedVersion);

/** Datagrams that are dropped; how many. */
async function flowToNowhere({ netns }: Guest): Promise<bigint> {
  const sender = numbering(netns, NOWHERE, 6000, 100);
  await sender.line(/^first/);
  await delay(200);
  return BigInt(/sent (\d+)/.exec(await sender.stop())?.[1] ?? "");
}

/** Takes a host's programs and maps from it, as a reboot does, and starts its agent anew. */
async function beginFromNothing(host: number): Promise<void> {
  const { bpffs } = at.cluster.hosts[host]!;
  await at.cluster.stopAgent(host);
  const pinned = readdirSync(bpffs, { withFileTypes: true }).filter((entry) => entry.isDirectory()); // files are the kernel's own
  expect(pinned.length).toBeGreaterThan(0);
  for (const { name } of pinned) rmSync(join(bpffs, name), { recursive: true });
  await at.cluster.startAgent(host);
}

it("adds up over a host's lives: what its maps had counted stays when they are gone", async () => {
  const [a, b] = await pair();
  const dropped = async () => (await traffic(a)).dropsByReason["NO_MAPPING"] ?? 0n;
  let datagrams = 0n;
  let drops = 0n;
  // Fewer in each life: the greatest of all readings would say nothing of the later ones.
  for (const perSecond of [2_000, 1_000, 500]) {
    if (datagrams > 0n) for (const host of [0, 1]) await beginFromNothing(host);
    await expect.poll(settled, { timeout: 15_000 }).toBe(true);
    datagrams += await flow(a, b, perSecond, () => delay(1_000));
    drops += await flowToNowhere(a);
    await shows(a, b, datagrams);
    expect(await dropped()).toBe(drops);
  }
}, 120_000);

it("counts each of a flow's datagrams once through kills of agents and of the control plane at any moment", async () => {
  const [a, b] = await pair();
  const killed: string[] = [];
  const sent = await flow(a, b, 1_000, async () => {
    for (const who of ["agent 0", "control plane", "agent 1", "agent 0", "control plane", "agent 1"]) {
      await delay(Math.random() * 1_500);
      killed.push(who);
      if (who === "control plane") await at.cluster.killControlPlane("SIGKILL");
      else await at.cluster.killAgent(Number(who.at(-1)), "SIGKILL");
    }
    for (const host of [0, 1]) await at.cluster.waitConnected(host);
  });
  console.info(`${sent} datagrams through kills of ${killed.join(", ")}`);
  expect(sent).toBeGreaterThan(3_000n);
  await shows(a, b, sent);
}, 120_000);

it("loses no last reading of a detached interface when the control plane is killed while it detaches", async () => {
  for (const afterMs of [0, 30, 60, 100]) {
    const [a, b] = await pair();
    const sent = await flow(a, b, 1_000, () => delay(300));
    // The last of it was counted a moment ago: no round of readings has told it.
    const detaching = Promise.allSettled(
      [a, b].map((guest) =>
        owner.clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: guest.attachment.attachmentId } }),
      ),
    );
    await delay(afterMs);
    await at.cluster.killControlPlane("SIGKILL");
    await detaching;
    for (const host of [0, 1]) await at.cluster.waitConnected(host);
    await shows(a, b, sent);
  }
}, 180_000);
