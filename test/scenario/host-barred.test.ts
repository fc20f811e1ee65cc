import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { HostState } from "#gen/plenum/host/v1/host.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { ping, pinging, pingResult } from "./support/traffic.ts";

// C8, C7, N4: a host that was broken into. Its agent and its programs run on and hold to nothing; what counts is what the others let in.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;
/** On the host that is barred; on the other one: a peer, and who takes the address over. */
let taken: Guest;
let peer: Guest;
let heir: Guest;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  network = await makeNetwork(owner.clients);
  taken = await runGuest(at, owner, network, { host: 0 });
  peer = await runGuest(at, owner, network, { host: 1 });
  heir = await runGuest(at, owner, network, { host: 1 });
}, 180_000);
afterAll(async () => await at?.stop());

const hostOf = async (index: number) => (await at.operator.hosts.getHost({ hostId: at.cluster.hosts[index]!.hostId })).host!;
const strangers = async () => (await hostOf(1)).hostDropsByReason["UNKNOWN_SENDER_HOST"] ?? 0n;

it("is refused by the other host once what it had was forced off it, and is then forgotten", async () => {
  const { hostId } = at.cluster.hosts[0]!;
  const { interfaceId } = taken.interface;
  await expect.poll(async () => (await ping(taken.netns, peer.address, 1)).received, { timeout: 10_000 }).toBe(1);
  expect((await at.operator.hosts.barHost({ hostId, reason: "broken into" })).host!.state).toBe(HostState.BARRED);
  // Nothing moves by that alone.
  expect(await ping(taken.netns, peer.address)).toEqual({ sent: 5, received: 5 });

  const wait = { waitTimeout: { seconds: 10n, nanos: 0 }, force: true };
  const { attachments } = await owner.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId }, ...wait });
  expect(attachments[0]!.state).toBe(AttachmentState.DETACHED);

  // It sends on, and every packet is refused by number.
  const before = await strangers();
  const sender = pinging(taken.netns, peer.address, 50);
  await expect.poll(strangers, { timeout: 10_000 }).toBeGreaterThan(before + 20n);
  const { sent, received } = pingResult(await sender.stop());
  expect(sent).toBeGreaterThan(20);
  expect(received).toBe(0);

  // The address lives elsewhere.
  const spec = { interfaceId, instanceId: heir.instanceId };
  const { attachment } = await owner.clients.interfaces.attachInterface({ spec, wait: WaitFor.REACHABLE });
  expect(attachment!.state).toBe(AttachmentState.ATTACHED);
  expect(await ping(peer.netns, taken.address)).toEqual({ sent: 5, received: 5 });

  await owner.clients.instances.terminateInstance({ instanceId: taken.instanceId, force: true });
  const state = async () => (await owner.clients.instances.getInstance({ instanceId: taken.instanceId })).instance!.state;
  await expect.poll(state, { timeout: 10_000 }).toBe(InstanceState.TERMINATED);
  await at.operator.hosts.deleteHost({ hostId });
  const gone = callFailure(await hostOf(0).catch((error: unknown) => error));
  expect(gone).toMatchObject({ status: "NOT_FOUND" });
  const again = await strangers();
  expect((await ping(taken.netns, peer.address)).received).toBe(0);
  await expect.poll(strangers, { timeout: 5_000 }).toBeGreaterThanOrEqual(again + 5n);
  expect(await ping(peer.netns, taken.address)).toEqual({ sent: 5, received: 5 });
}, 60_000);

it("keeps `plenum up` from nothing: it starts again without the hosts that are barred or deleted", async () => {
  const dataDir = join(tmpdir(), `plenum-b-${process.pid}-${randomBytes(3).toString("hex")}`);
  const running: Installation[] = [];
  try {
    const first = await install({ dataDir, temporary: false, hosts: 3 });
    running.push(first);
    const [kept, barred, deleted] = first.cluster.hosts.map(({ hostId }) => hostId);
    for (const hostId of [barred, deleted]) await first.operator.hosts.barHost({ hostId, reason: "not to be believed" });
    await first.operator.hosts.deleteHost({ hostId: deleted });
    await first.stop();
    const told: string[] = [];
    const second = await install({ dataDir, hosts: 3, tell: (line) => told.push(line) });
    running.push(second);
    const { hosts } = await second.operator.hosts.listHosts({});
    expect(hosts.map(({ hostId, state }) => [hostId, state]).sort()).toEqual(
      [
        [kept, HostState.CONNECTED],
        [barred, HostState.BARRED],
      ].sort(),
    );
    expect(told.join("\n")).toMatch(/h2 is barred[^]*h3 was deleted/);
    await second.operator.hosts.unbarHost({ hostId: barred });
    const state = async () => (await second.operator.hosts.getHost({ hostId: barred })).host!.state;
    await expect.poll(state, { timeout: 20_000 }).toBe(HostState.CONNECTED);
  } finally {
    for (const one of running) await one.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}, 120_000);
