import { afterAll, beforeAll, expect, it } from "vitest";
import { addressOnSubstrate } from "../../cli/demo/stranger.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { background } from "./support/run.ts";
import { datagrams, ping, pinging, sendDatagram } from "./support/traffic.ts";
import { tunnelPacket } from "../../cli/demo/tunnel-packet.ts";

// D1, D2, D3, N17: what travels between hosts, and what a host takes from the substrate.

let at: Installation;
let owner: { accountId: string; clients: Clients };
let networks: Network[];
let senders: Guest[];
let receivers: Guest[];

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  networks = [await makeNetwork(owner.clients), await makeNetwork(owner.clients)];
  senders = await Promise.all(networks.map((n) => runGuest(at, owner, n, { host: 0, address: "10.0.1.10" })));
  receivers = await Promise.all(networks.map((n) => runGuest(at, owner, n, { host: 1, address: "10.0.1.20" })));
}, 180_000);
afterAll(async () => await at?.stop());

const vniOf = async (n: Network) => (await at.operator.mappings.lookupMapping({ networkId: n.networkId, address: "10.0.1.20" })).vni;

it("shows each VPC under a VNI of its own, with wire ids and group sets for MACs", async () => {
  const host = at.cluster.hosts[1]!;
  const fields = ["ip.src", "vxlan.vni", "eth.dst", "eth.src", "icmp.type"].flatMap((f) => ["-e", f]);
  const capture = background(host.netns, "tshark", ["-l", "-n", "-i", host.device, "-f", "udp port 4789", "-T", "fields", ...fields]);
  // tshark says that it captures before it does: what it shows is the first proof.
  const warm = pinging(senders[0]!.netns, "10.0.1.20", 10);
  await capture.line(/\t[08]$/, 20_000).finally(() => warm.stop());
  for (const sender of senders) expect((await ping(sender.netns, "10.0.1.20", 3)).received).toBe(3);
  const vnis = await Promise.all(networks.map(vniOf));
  const requestsOf = (vni: number) => capture.lines.filter((l) => new RegExp(`\t${vni}\t.*\t8$`).test(l)).length;
  await expect.poll(() => requestsOf(vnis[1]!), { timeout: 10_000 }).toBeGreaterThanOrEqual(3);
  await capture.stop();

  const packets = capture.lines
    .filter((l) => /\t[08]$/.test(l))
    .map((l) => {
      const [outer, vni, destinations, sources, type] = l.split("\t");
      return { from: outer!.split(",")[0]!, vni: Number(vni), to: destinations!.split(",").at(-1)!, by: sources!.split(",").at(-1)!, type };
    });
  const idOf = (mac: string) => Number.parseInt(mac.replaceAll(":", "").slice(2, 10), 16);
  expect(vnis[0]).not.toBe(vnis[1]);
  for (const [i, vni] of vnis.entries()) {
    const requests = packets.filter((p) => p.vni === vni && p.type === "8");
    expect(requests.length).toBeGreaterThanOrEqual(3);
    const { mapping } = await at.operator.mappings.lookupMapping({ networkId: networks[i]!.networkId, address: "10.0.1.10" });
    for (const p of requests) {
      expect(p.from.split(",")[0]).toBe(at.cluster.hosts[0]!.address);
      expect(p.to).toMatch(/^02:/);
      expect(p.by).toMatch(/^02:/);
      expect(idOf(p.to)).toBe(receivers[i]!.attachment.wireId);
      expect(idOf(p.by)).toBe(mapping!.targets[0]!.groupSetId);
    }
  }
}, 60_000);

it("takes a tunnel packet from the host that holds its sender, and drops and counts the same bytes from any other address", async () => {
  const [network, sender, receiver] = [networks[0]!, senders[0]!, receivers[0]!];
  const { mapping, vni } = await at.operator.mappings.lookupMapping({ networkId: network.networkId, address: sender.address });
  const packet = (payload: string) =>
    tunnelPacket({
      vni,
      wireId: receiver.attachment.wireId,
      groupSetId: mapping!.targets[0]!.groupSetId,
      source: sender.address,
      destination: receiver.address,
      port: 5000,
      payload,
    });
  const listener = datagrams(receiver.netns, 5000);
  await listener.line(/^ready/);
  const target = at.cluster.hosts[1]!.address;

  // The control: these very bytes are delivered when the holder of the address sends them.
  await sendDatagram(at.cluster.hosts[0]!.netns, target, 4789, packet("holder"));
  await listener.line(/^got holder from 10\.0\.1\.10/);

  const strangers = async () => {
    const { host } = await at.operator.hosts.getHost({ hostId: at.cluster.hosts[1]!.hostId });
    return host!.hostDropsByReason["UNKNOWN_SENDER_HOST"] ?? 0n;
  };
  const before = await strangers();
  const stranger = addressOnSubstrate(at.cluster);
  try {
    await sendDatagram(stranger.netns, target, 4789, packet("stranger"));
    await expect.poll(strangers, { timeout: 5_000 }).toBe(before + 1n);
  } finally {
    stranger.remove();
  }
  // Order on one path proves absence: what comes after it arrived, it did not.
  await sendDatagram(at.cluster.hosts[0]!.netns, target, 4789, packet("after"));
  await listener.line(/^got after/);
  expect(await listener.stop()).not.toContain("stranger");
}, 60_000);
