import { afterAll, beforeAll, expect, test } from "vitest";
import { hasCode, VXLAN_PORT } from "#lib/linux/index.ts";
import type { BpfMap } from "./bpf-map.ts";
import { dropReasons, LIMITS } from "./index.ts";
import { STRUCTS } from "./layout.gen.ts";
import { encode, u32 } from "./record.ts";
import { arp, ethernet, ETHERTYPE, icmpEcho, ipv4, udp, vlanTag, vxlan, wireMac, type Ipv4Fields } from "./testing/frames.ts";
import { withMap } from "./testing/flows.ts";
import { dropsOf, GATEWAY_MAC, GUEST_DEVICE, Lab, mappingOf, type LabGuest, type LabHost } from "./testing/lab.ts";
import { sendDatagram, sendFrame, type SendOptions } from "./testing/raw-socket.ts";
import { runPinned, TC_ACT_SHOT } from "./testing/test-run.ts";
import { putMappings } from "../../testing/mapping-batches.ts";

const ICMP = 1;
const UDP = 17;
const VNI = 700;

let lab: Lab;
let a: LabHost;
let b: LabHost;
let one: LabGuest;
let near: LabGuest;
let far: LabGuest;
/** A machine on the substrate that is no host. */
let stranger: string;
const provoked = new Set<string>();

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
  b = lab.host("b", "198.18.0.2");
  stranger = lab.machine("x", "198.18.0.66");
  one = lab.openGuest(a, "10.0.0.1");
  near = lab.openGuest(a, "10.0.0.2");
  far = lab.openGuest(b, "10.0.0.3");
});
afterAll(() => lab.dispose());

/** Does something and expects exactly one drop more for one reason of one interface. */
function provokes(reason: string, host: LabHost, wireId: number, provoke: () => void): void {
  const before = dropsOf(host, wireId);
  provoke();
  expect(dropsOf(host, wireId)).toEqual({ ...before, [reason]: (before[reason] ?? 0n) + 1n });
  provoked.add(reason);
}

const datagram = udp(5000, 6000, Buffer.from("x"));

function packet(fields: Partial<Ipv4Fields> = {}, payload: Buffer = datagram): Buffer {
  return ipv4({ src: one.address, dst: far.address, protocol: UDP, ...fields }, payload);
}

/** Guest `one` sends a frame. */
function guestSends(payload: Buffer, frame: { type?: number; src?: string; dst?: string } = {}, options: SendOptions = {}): void {
  sendFrame(one.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac, ...frame }, payload), options);
}

/** A machine on the substrate sends host b a tunnel packet, addressed to guest `far` unless said otherwise. */
function tunnelSends(from: string, payload: Buffer, inner: { vni?: number; to?: number; dst?: string; type?: number } = {}): void {
  const { vni = VNI, to = far.endpoint.wireId, type } = inner;
  const frame = ethernet({ dst: inner.dst ?? wireMac(to), src: wireMac(one.endpoint.groupSetId), type }, payload);
  sendDatagram(from, b.address, VXLAN_PORT, vxlan(vni, frame));
}

test("a control packet passes, from the guest and from the tunnel, without any drop", () => {
  const before = [dropsOf(a, one.endpoint.wireId), dropsOf(b, far.endpoint.wireId), dropsOf(b, 0)];
  guestSends(packet());
  tunnelSends(a.path, packet());
  expect([dropsOf(a, one.endpoint.wireId), dropsOf(b, far.endpoint.wireId), dropsOf(b, 0)]).toEqual(before);
  const meter = b.datapath.readMeters().find((m) => m.meterId === far.endpoint.meterId && m.direction === "ingress");
  expect(meter?.packets).toBe(2n);
});

test("what a guest sends wrongly", () => {
  const wireId = one.endpoint.wireId;
  provokes("MALFORMED", a, wireId, () => guestSends(packet({ totalLength: 200 })));
  provokes("MALFORMED", a, wireId, () => guestSends(packet({ totalLength: 10 })));
  provokes("MALFORMED", a, wireId, () => guestSends(packet({ fragmentOffset: 64, totalLength: 10 })));
  provokes("MALFORMED", a, wireId, () => guestSends(packet({ totalLength: 24 })));
  const version6 = packet();
  version6[0] = 0x65;
  provokes("MALFORMED", a, wireId, () => guestSends(version6));
  const shortTcp = Buffer.alloc(20);
  shortTcp[12] = 4 << 4;
  provokes("MALFORMED", a, wireId, () => guestSends(packet({ protocol: 6 }, shortTcp)));
  provokes("MALFORMED", a, wireId, () => guestSends(packet({}, Buffer.from([1, 2, 3]))));
  provokes("MALFORMED", a, wireId, () => guestSends(Buffer.from("nonsense"), {}));
  provokes("MALFORMED", a, wireId, () => guestSends(Buffer.from("short"), { type: ETHERTYPE.arp }));
  provokes("VLAN_TAG", a, wireId, () => guestSends(vlanTag(5, ETHERTYPE.ipv4, packet()), { type: ETHERTYPE.vlan }));
  provokes("SOURCE_MAC", a, wireId, () => guestSends(packet(), { src: "06:00:00:00:00:77" }));
  provokes("SOURCE_ADDRESS", a, wireId, () => guestSends(packet({ src: near.address })));
  provokes("MULTICAST", a, wireId, () => guestSends(packet({ dst: "255.255.255.255" }), { dst: "ff:ff:ff:ff:ff:ff" }));
  provokes("MULTICAST", a, wireId, () => guestSends(packet({ dst: "224.0.0.251" })));
  provokes("MULTICAST", a, wireId, () => guestSends(packet(), { dst: "01:00:5e:00:00:fb" }));
  provokes("ETHERTYPE", a, wireId, () => guestSends(Buffer.alloc(40), { type: 0x88b5 }));
  provokes("IPV6_UNSUPPORTED", a, wireId, () => guestSends(Buffer.alloc(40), { type: ETHERTYPE.ipv6 }));
  const asking = { senderMac: one.endpoint.guestMac, target: "10.0.0.9" };
  provokes("ARP_SPOOFED", a, wireId, () => guestSends(arp({ ...asking, sender: near.address }), { type: ETHERTYPE.arp }));
  provokes("ARP_UNANSWERED", a, wireId, () => guestSends(arp({ ...asking, sender: "0.0.0.0" }), { type: ETHERTYPE.arp }));
});

test("a device without an endpoint", () => {
  const fresh = lab.guest(a, "10.0.0.8");
  const frame = ethernet({ dst: GATEWAY_MAC, src: fresh.endpoint.guestMac }, packet());
  provokes("NOT_CONFIGURED", a, 0, () => sendFrame(fresh.path, GUEST_DEVICE, frame));

  const asOne = ethernet({ dst: GATEWAY_MAC, src: one.endpoint.guestMac }, packet());
  withMap(a, "ports", (ports) => ports.put(u32(fresh.endpoint.ifindex), u32(one.endpoint.wireId)));
  provokes("NOT_CONFIGURED", a, 0, () => sendFrame(fresh.path, GUEST_DEVICE, asOne));
});

test("rules, and fragments that show no port", () => {
  const ports = { portFrom: 6000, portTo: 6000, peerCidr: "0.0.0.0/0", protocol: UDP };
  a.datapath.putRuleset({ id: 1, rules: [{ direction: "egress", ...ports }] });
  a.datapath.putEndpoint({ ...one.endpoint, rulesetId: 1 });
  const wireId = one.endpoint.wireId;
  const later = { fragmentOffset: 64, identification: 8 };
  try {
    guestSends(packet());
    guestSends(packet({ moreFragments: true }));
    provokes("RULE_EGRESS", a, wireId, () => guestSends(packet({}, udp(5000, 6001, Buffer.from("x")))));
    provokes("RULE_EGRESS", a, wireId, () => guestSends(packet({ protocol: ICMP }, icmpEcho())));
    provokes("FRAGMENT", a, wireId, () => guestSends(packet(later)));
    provokes("RULE_EGRESS", a, wireId, () => guestSends(packet({ ...later, protocol: ICMP })));
    const back = ipv4({ src: near.address, dst: one.address, protocol: UDP }, datagram);
    const frame = ethernet({ dst: GATEWAY_MAC, src: near.endpoint.guestMac }, back);
    provokes("RULE_INGRESS", a, wireId, () => sendFrame(near.path, GUEST_DEVICE, frame));
    a.datapath.deleteRuleset(1);
    provokes("RULESET_MISSING", a, wireId, () => guestSends(packet({}, udp(5001, 6000, Buffer.from("x")))));
  } finally {
    a.datapath.putEndpoint(one.endpoint);
  }
  const before = dropsOf(a, wireId);
  guestSends(packet(later));
  expect(dropsOf(a, wireId), "all ports allowed: a later fragment passes").toEqual(before);
});

test("packets longer than the interface's MTU", () => {
  const long = udp(5000, 6000, Buffer.alloc(1000));
  a.datapath.putEndpoint({ ...one.endpoint, guestMtu: 1000 });
  const wireId = one.endpoint.wireId;
  try {
    provokes("TOO_BIG_ANSWERED", a, wireId, () => guestSends(packet({ dontFragment: true }, long)));
    provokes("TOO_BIG", a, wireId, () => guestSends(packet({}, long)));
    provokes("TOO_BIG", a, wireId, () => guestSends(packet({ dontFragment: true, fragmentOffset: 64 }, long)));
    const error = Buffer.concat([Buffer.from([3, 1, 0, 0, 0, 0, 0, 0]), Buffer.alloc(1000)]);
    provokes("TOO_BIG", a, wireId, () => guestSends(packet({ dontFragment: true, protocol: ICMP }, error)));
    // Asks for a checksum at the packet's end, as a guest may: the kernel then refuses to cut the packet down to a message.
    const virtioHeader = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    virtioHeader.writeUInt16LE(900, 6);
    for (let n = 0; n < 100; n++)
      // as often as the differential test asks of every reason that it can give itself
      provokes("REWRITE_FAILED", a, wireId, () => guestSends(packet({ dontFragment: true }, long), {}, { virtioHeader }));
  } finally {
    a.datapath.putEndpoint(one.endpoint);
  }
});

test("destinations", () => {
  const wireId = one.endpoint.wireId;
  const to = (address: string, hostAddress: string, target: number): void =>
    putMappings(a.datapath, [{ vni: VNI, prefix: `${address}/32`, hostAddress, wireId: target, groupSetId: 0 }]);
  const other = lab.openGuest(a, "10.0.0.20", { vni: 999 });
  to("10.0.0.21", a.address, 0xdead);
  to("10.0.0.22", a.address, other.endpoint.wireId);
  to("10.0.0.23", a.address, near.endpoint.wireId);
  to("10.0.0.24", "fd00::1", 0xdead);
  provokes("NO_MAPPING", a, wireId, () => guestSends(packet({ dst: "10.0.0.25" })));
  provokes("TARGET_CLOSED", a, wireId, () => guestSends(packet({ dst: "10.0.0.21" })));
  provokes("TARGET_NETWORK", a, wireId, () => guestSends(packet({ dst: "10.0.0.22" })));
  provokes("TARGET_ADDRESS", a, near.endpoint.wireId, () => guestSends(packet({ dst: "10.0.0.23" })));
  provokes("SUBSTRATE_UNSUPPORTED", a, wireId, () => guestSends(packet({ dst: "10.0.0.24" })));
  expect(dropsOf(a, other.endpoint.wireId), "another network's interface sees none of it").toEqual({});
});

test("routers use and receive any address", () => {
  const router = lab.openGuest(a, "10.0.0.30", { sourceDestCheck: false });
  lab.announce({ ...mappingOf(router), prefix: "10.0.0.31/32" });
  const forwarded = ipv4({ src: "192.0.2.1", dst: near.address, protocol: UDP }, datagram);
  const before = [dropsOf(a, router.endpoint.wireId), dropsOf(a, near.endpoint.wireId)];
  sendFrame(router.path, GUEST_DEVICE, ethernet({ dst: GATEWAY_MAC, src: router.endpoint.guestMac }, forwarded));
  guestSends(packet({ dst: "10.0.0.31" }));
  expect([dropsOf(a, router.endpoint.wireId), dropsOf(a, near.endpoint.wireId)]).toEqual(before);
  const meters = a.datapath.readMeters().filter((m) => m.meterId === router.endpoint.meterId);
  expect(meters.map((m) => m.packets)).toEqual([1n, 1n]);
});

test("an interface that is switched off, until it is on again", () => {
  const { wireId } = one.endpoint;
  const before = dropsOf(a, wireId);
  guestSends(packet());
  expect(dropsOf(a, wireId)).toEqual(before); // it flowed
  a.datapath.putEndpoint({ ...one.endpoint, disabled: true });
  provokes("INTERFACE_DISABLED", a, wireId, () => guestSends(packet()));
  const asking = arp({ senderMac: one.endpoint.guestMac, sender: one.address, target: "10.0.0.9" });
  provokes("INTERFACE_DISABLED", a, wireId, () => guestSends(asking, { type: ETHERTYPE.arp }));
  b.datapath.putEndpoint({ ...far.endpoint, disabled: true });
  provokes("INTERFACE_DISABLED", b, far.endpoint.wireId, () => tunnelSends(a.path, packet()));
  for (const [host, { endpoint }] of [[a, one] as const, [b, far] as const]) host.datapath.putEndpoint(endpoint);
  const after = [dropsOf(a, wireId), dropsOf(b, far.endpoint.wireId)];
  guestSends(packet());
  tunnelSends(a.path, packet());
  expect([dropsOf(a, wireId), dropsOf(b, far.endpoint.wireId)]).toEqual(after);
});

test("tunnel packets that are not what they should be", () => {
  provokes("UNKNOWN_SENDER_HOST", b, 0, () => tunnelSends(stranger, packet()));
  provokes("UNKNOWN_SENDER_HOST", b, 0, () => tunnelSends(a.path, packet(), { vni: VNI + 1 }));
  provokes("SENDER_NOT_OWNER", b, 0, () => tunnelSends(a.path, packet({ src: "10.0.0.200" })));
  provokes("SENDER_NOT_OWNER", b, 0, () => tunnelSends(a.path, packet({ src: far.address })));
  provokes("WIRE_HEADER", b, 0, () => tunnelSends(a.path, packet(), { dst: far.endpoint.guestMac }));
  provokes("TARGET_CLOSED", b, 0, () => tunnelSends(a.path, packet(), { to: 0xdead }));
  provokes("TARGET_ADDRESS", b, far.endpoint.wireId, () => tunnelSends(a.path, packet({ dst: "10.0.0.99" })));
  provokes("MALFORMED", b, 0, () => tunnelSends(a.path, packet({ totalLength: 999 })));
  provokes("ETHERTYPE", b, 0, () => tunnelSends(a.path, packet(), { type: 0x88b5 }));
  provokes("IPV6_UNSUPPORTED", b, 0, () => tunnelSends(a.path, Buffer.alloc(40), { type: ETHERTYPE.ipv6 }));
  provokes("VLAN_TAG", b, 0, () => tunnelSends(a.path, vlanTag(5, ETHERTYPE.ipv4, packet()), { type: ETHERTYPE.vlan }));
  const other = lab.openGuest(b, "10.0.0.3", { vni: 998 });
  provokes("TARGET_NETWORK", b, 0, () => tunnelSends(a.path, packet(), { to: other.endpoint.wireId }));
});

test("a packet on the tunnel device that came through no tunnel", () => {
  const frame = ethernet({ dst: wireMac(far.endpoint.wireId), src: wireMac(1) }, packet());
  provokes("NO_TUNNEL_KEY", b, 0, () => expect(runPinned(b, "from_tunnel", frame, { path: b.path }).verdict).toBe(TC_ACT_SHOT));
});

test("an interface whose meter is gone passes nothing, as a sender or as a receiver", () => {
  const unmetered = lab.openGuest(a, "10.0.0.40");
  const { wireId, meterId } = unmetered.endpoint;
  a.datapath.dropMeter(wireId, meterId);
  a.datapath.putMeter({ wireId, meterId: 12345n });
  // An echo reply nobody asked for: nothing answers it, so that what is counted is this packet.
  const unasked = (src: string, dst: string): Buffer => ipv4({ src, dst, protocol: ICMP }, Buffer.from([0, 0, 255, 255, 0, 0, 0, 0]));
  const frame = ethernet({ dst: GATEWAY_MAC, src: unmetered.endpoint.guestMac }, unasked(unmetered.address, near.address));
  provokes("METER_MISSING", a, wireId, () => sendFrame(unmetered.path, GUEST_DEVICE, frame));
  provokes("METER_MISSING", a, wireId, () => guestSends(unasked(one.address, unmetered.address)));
});

test("a host that does not know its own tunnel", () => {
  withMap(a, "host", (map) => {
    const before = map.get(u32(0)) ?? Buffer.alloc(0);
    map.put(u32(0), encode("host_config", {}));
    try {
      provokes("HOST_NOT_CONFIGURED", a, one.endpoint.wireId, () => guestSends(packet()));
    } finally {
      map.put(u32(0), before);
    }
  });
});

test("an interface that holds as many connections as it may, and a host that does", { timeout: 120_000 }, () => {
  const wireId = one.endpoint.wireId;
  const begins = (port: number): Buffer => packet({}, udp(port, 6000, Buffer.from("x")));
  const budget = { wire_id: wireId, limit: 0 };
  withMap(a, "budgets", (budgets) => {
    budgets.put(u32(wireId), encode("connection_budget", budget));
    provokes("CONNECTION_BUDGET", a, wireId, () => guestSends(begins(7001)));
    // All that is in common, and its share of nothing.
    budgets.put(u32(wireId), encode("connection_budget", { ...budget, limit: LIMITS.connections, count: BigInt(LIMITS.connections) / 2n }));
    provokes("CONNECTION_SHARE", a, wireId, () => guestSends(begins(7001)));
    budgets.put(u32(wireId), encode("connection_budget", { ...budget, limit: 10 }));
    withMap(a, "connections", (connections) => {
      const filled = fill(connections);
      provokes("CONNECTION_TABLE", a, wireId, () => guestSends(begins(7002)));
      expect(budgets.get(u32(wireId)), "what was refused counts for nobody").toEqual(encode("connection_budget", { ...budget, limit: 10 }));
      connections.deleteMany(filled);
      const before = dropsOf(a, wireId);
      guestSends(begins(7002));
      expect(dropsOf(a, wireId)).toEqual(before);
    });
  });
});

/** Connections of an interface that is none, until no more fit; their keys. */
function fill(connections: BpfMap): Buffer[] {
  const room = LIMITS.connections - [...connections.entries()].length;
  const keys = Buffer.alloc(room * STRUCTS.connection_key.size);
  const values = Buffer.alloc(room * STRUCTS.connection.size);
  const keyOf = (n: number): Buffer => encode("connection_key", { wire_id: 0xffff_0000, sport: n & 0xffff, dport: n >> 16 });
  const list: Buffer[] = Array.from({ length: room }, (_, n) =>
    keys.subarray(n * STRUCTS.connection_key.size, (n + 1) * STRUCTS.connection_key.size),
  );
  list.forEach((key, n) => {
    key.set(keyOf(n));
    values.set(key, n * STRUCTS.connection.size);
  });
  connections.putMany(keys, values, room);
  // Meanwhile some of those that were there before may have gone.
  for (;;) {
    const key = keyOf(list.length);
    try {
      connections.put(key, Buffer.concat([key], STRUCTS.connection.size));
    } catch (error) {
      if (hasCode(error, "E2BIG")) return list;
      throw error;
    }
    list.push(key);
  }
}

test("a drop is counted for the host when the interface's counters are gone", () => {
  const leaving = lab.openGuest(a, "10.0.0.50");
  a.datapath.dropMeter(leaving.endpoint.wireId, leaving.endpoint.meterId);
  const frame = ethernet({ dst: GATEWAY_MAC, src: "06:00:00:00:00:77" }, packet());
  provokes("SOURCE_MAC", a, 0, () => sendFrame(leaving.path, GUEST_DEVICE, frame));
});

test("every reason there is was provoked above", () => {
  expect([...provoked].sort()).toEqual(dropReasons.map((r) => r.name).sort());
});
