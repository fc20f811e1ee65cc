import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { ping, pinging, pingResult } from "./support/traffic.ts";

// N2: data-plane readiness is reported, not assumed; D19, D24: what somebody took away is noticed and made again.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let network: Network;
let a: Guest;
let b: Guest;

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  network = await makeNetwork(owner.clients);
  a = await runGuest(at, owner, network, { host: 0 });
  b = await runGuest(at, owner, network, { host: 1 });
}, 180_000);
afterAll(async () => await at?.stop());

const { TRUE, FALSE } = ConditionStatus;
/** The host's end of its cable, in an installation of `plenum up`. */
const SUBSTRATE = "sub0";

/** A command in a host's namespace, as its operator would type it. */
const onHost = (host: number, ...argv: string[]): string =>
  execFileSync("nsenter", [`--net=${at.cluster.hosts[host]!.netns}`, ...argv], { encoding: "utf8" });

const standing = async (host: number) => {
  const { host: found } = await at.operator.hosts.getHost({ hostId: at.cluster.hosts[host]!.hostId });
  return found!.conditions.find((one) => one.type === "SubstrateReady")!;
};

const conditions = async (guest: Guest) => {
  const { attachment } = await owner.clients.interfaces.getAttachment({ attachmentId: guest.attachment.attachmentId });
  return attachment!.conditions.map((one) => [one.type, one.status, one.reason]);
};

const WELL = [
  ["Programmed", TRUE, "Applied"],
  ["Reachable", TRUE, "AllHostsApplied"],
];
const CUT = [
  ["Programmed", FALSE, "SubstrateDown"],
  ["Reachable", FALSE, "SubstrateDown"],
];

it("brings back a tunnel device that is set down or removed, within seconds", async () => {
  expect(await standing(0)).toMatchObject({ status: TRUE });
  for (const command of [
    ["ip", "link", "set", "plenum0", "down"],
    ["ip", "link", "delete", "plenum0"],
  ]) {
    expect((await ping(a.netns, b.address)).received).toBe(5);
    onHost(0, ...command);
    await expect.poll(async () => (await ping(a.netns, b.address, 1)).received, { timeout: 15_000 }).toBe(1);
    await expect.poll(() => standing(0), { timeout: 15_000 }).toMatchObject({ status: TRUE, reason: "Ready" });
  }
});

it("guards a device again whose filter was deleted under traffic", async () => {
  const flow = pinging(a.netns, b.address, 100);
  await flow.line(/icmp_seq=50 /, 15_000);
  const devices = onHost(0, "ip", "-o", "link", "show", "type", "veth").match(/pv[0-9a-f]{8}/g)!;
  for (const device of devices) onHost(0, "tc", "qdisc", "del", "dev", device, "clsact");
  const seen = flow.lines.length;
  await flow.line(new RegExp(`icmp_seq=${seen + 600} `), 30_000);
  const { sent, received } = pingResult(await flow.stop());
  expect(sent - received).toBeLessThan(500); // five seconds
  const metrics = onHost(0, "curl", "--silent", "http://127.0.0.1:9402/metrics");
  expect(Number(/^plenum_host_lost_total\{what="guard"\} (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThanOrEqual(devices.length);
  for (const device of devices) expect(onHost(0, "tc", "filter", "show", "dev", device, "ingress")).toContain("from_instance");
});

/** What the owner and the operator read while host 0 cannot carry packets, and that nothing new is placed there. */
async function expectCutOff(): Promise<void> {
  await expect.poll(() => conditions(a), { timeout: 15_000 }).toEqual(CUT);
  const { interface: made } = await owner.clients.interfaces.createInterface({ spec: { subnetId: network.subnetId } });
  const { attachment } = await owner.clients.interfaces.attachInterface({
    spec: { interfaceId: made!.interfaceId, instanceId: a.instanceId },
    ...{ wait: WaitFor.REACHABLE, waitTimeout: { seconds: 1n, nanos: 0 } },
  });
  expect(attachment!.conditions.map((one) => [one.type, one.status, one.reason])).toEqual(CUT);
  await expect(runGuest(at, owner, network, { host: 0 })).rejects.toThrow(/cannot carry packets to others/);
}

it("says so while it cannot make the tunnel, and makes it when it can", async () => {
  expect(await conditions(a)).toEqual(WELL);
  // In one breath, before the agent looks again: the port is another's.
  const take = "ip link delete plenum0; ip link add other0 type vxlan external dstport 4789 && ip link set other0 up";
  onHost(0, "sh", "-c", take);
  // First it only finds that the device is gone; why it cannot make another it knows when it has tried.
  await expect
    .poll(() => standing(0), { timeout: 15_000 })
    .toMatchObject({ status: FALSE, reason: "TunnelDown", message: expect.stringMatching(/EEXIST|EADDRINUSE/) as string });
  await expectCutOff();
  expect((await ping(a.netns, b.address, 2)).received).toBe(0);
  onHost(0, "ip", "link", "delete", "other0");
  await expect.poll(() => standing(0), { timeout: 20_000 }).toMatchObject({ status: TRUE });
  expect(await conditions(a)).toEqual(WELL);
  expect((await ping(a.netns, b.address)).received).toBe(5);
}, 90_000);

it("says so while the substrate device is shorter than guests were told", async () => {
  const [, mtu = ""] = /mtu (\d+)/.exec(onHost(0, "ip", "link", "show", SUBSTRATE))!;
  onHost(0, "ip", "link", "set", SUBSTRATE, "mtu", String(Number(mtu) - 100));
  await expect.poll(() => standing(0), { timeout: 15_000 }).toMatchObject({ status: FALSE, reason: "SubstrateDown" });
  await expectCutOff();
  onHost(0, "ip", "link", "set", SUBSTRATE, "mtu", mtu);
  await expect.poll(() => conditions(a), { timeout: 15_000 }).toEqual(WELL);
});
