import type { Configuration } from "#lib/model/index.ts";
import { arp, ETHERTYPE, ipv4, vlanTag, wireMac, type ArpFields } from "../out/datapath/testing/frames.ts";
import type { Draft } from "./draft.ts";
import type { Random } from "./random.ts";
import { ADDRESSES, GROUP_SETS, PROTOCOLS, STRANGER, THERE, VNIS } from "./world.ts";

/** Ways to make a good packet wrong, or special. Each changes the draft; which reason it meets is for the model to say. */
type Spoiler = (random: Random, draft: Draft, configuration: Configuration) => void;

type Weighted = readonly [weight: number, name: string, spoil: Spoiler];

export function spoil(random: Random, draft: Draft, configuration: Configuration): void {
  const ways = [...ANY, ...(draft.origin.from === "instance" ? INSTANCE : TUNNEL)];
  const apply = ([, name, change]: Weighted): void => {
    draft.note += `, ${name}`;
    change(random, draft, configuration);
  };
  apply(random.weighted(ways.map((way) => [way[0], way] as const)));
  if (random.chance(0.6)) apply(random.pick(ways)); // of two reasons, the first counts
}

const ANY: readonly Weighted[] = [
  [2, "another type", (random, d) => (d.ethernet.type = random.pick([0x88b5, 0x0805, 0x8847, 0x0801, ETHERTYPE.arp]))],
  [2, "IPv6", (random, d) => ((d.ethernet.type = ETHERTYPE.ipv6), (d.override = Buffer.concat([Buffer.from([0x60]), random.bytes(47)])))],
  [2, "VLAN tag", tagged],
  [6, "bad header", malformed],
  [3, "random octet", flipped],
  [2, "padding", (random, d) => (d.override = Buffer.concat([bytesOf(d), random.bytes(random.between(1, 30))]))],
  [7, "first fragment", (random, d) => ((d.ip.moreFragments = true), (d.ip.identification = random.between(0, 2)))],
  [22, "later fragment", laterFragment],
  [4, "super-packet", superPacket],
  [
    2,
    "another destination",
    (random, d) => (d.ip.dst = random.pick([...ADDRESSES, "10.0.0.200", "192.0.2.1", "240.0.0.1", "223.255.255.255"])),
  ],
  [1, "IP options", withOptions],
  [1, "another protocol", (random, d) => (d.ip.protocol = random.pick([0, 2, 33, 50, 136, 255]))],
];

const INSTANCE: readonly Weighted[] = [
  [
    1.5,
    "unknown device",
    (_, d, c) => d.origin.from === "instance" && (d.origin.ifindex = Math.max(...c.endpoints.map((e) => e.ifindex), 1) + 1),
  ],
  [2, "foreign source MAC", (random, d) => ((d.ethernet.src = foreignMac(random, d.ethernet.src)), sometimesTagged(random, d))],
  [2.5, "foreign source", (random, d) => (d.ip.src = random.pick([...ADDRESSES, "192.0.2.9", "0.0.0.0", "224.0.0.1"]))],
  [2.5, "multicast", multicast],
  [9, "ARP", (random, d, c) => asArp(random, d, c)],
  [12, "long", long],
];

const TUNNEL: readonly Weighted[] = [
  [4, "no key", (_, d) => d.origin.from === "tunnel" && (d.origin.key = undefined)],
  [3, "another host", (random, d) => keyed(d, (key) => (key.sender = random.pick([STRANGER, ...THERE, "198.18.0.1"])))],
  [3, "a stranger", (random, d) => (keyed(d, (key) => (key.sender = STRANGER)), sometimesTagged(random, d))],
  [4, "another network", (random, d) => keyed(d, (key) => (key.vni = random.pick([...VNIS, 702])))],
  [3, "foreign source", (random, d) => (d.ip.src = random.pick(ADDRESSES))],
  [
    4,
    "real MACs",
    (random, d) => (d.ethernet[random.pick(["dst", "src"] as const)] = random.pick(["06:00:00:00:00:01", "ff:ff:ff:ff:ff:ff"])),
  ],
  [1, "spare bits", (random, d) => (d.ethernet.dst = `${d.ethernet.dst.slice(0, 15)}${random.pick(["01", "ff"])}`)],
  [1, "spare bits", (random, d) => (d.ethernet.src = `${d.ethernet.src.slice(0, 15)}${random.pick(["01", "ff"])}`)],
  [5, "another target", (random, d, c) => (d.ethernet.dst = wireMac(random.pick([0, 0xdead, ...c.endpoints.map((e) => e.wireId)])))],
  [3, "other groups", (random, d) => (d.ethernet.src = wireMac(random.pick([...GROUP_SETS, 77])))],
];

/** Another's, or one that differs in an octet. */
function foreignMac(random: Random, own: string): string {
  if (random.chance(0.3)) return random.pick(["06:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"]);
  const octets = own.split(":");
  octets[random.between(0, 5)] = "77";
  return octets.join(":");
}

function keyed(d: Draft, change: (key: { vni: number; sender: string }) => unknown): void {
  if (d.origin.from === "tunnel" && d.origin.key !== undefined) change(d.origin.key);
}

function bytesOf(d: Draft): Buffer {
  return d.override ?? ipv4(d.ip, d.payload);
}

/** Wrong twice: which of the two counts is part of what is promised. */
function sometimesTagged(random: Random, d: Draft): void {
  if (random.chance(0.2)) d.vlanTci = random.between(1, 4095);
}

function tagged(random: Random, d: Draft): void {
  if (random.chance(0.8)) {
    d.vlanTci = random.between(1, 4095);
    return;
  }
  d.override = vlanTag(random.between(0, 4095), d.ethernet.type, bytesOf(d));
  d.ethernet.type = random.pick([ETHERTYPE.vlan, 0x88a8]);
}

function malformed(random: Random, d: Draft): void {
  const bytes = bytesOf(d);
  const set = (at: number, value: number): Buffer => (at < bytes.length && bytes.writeUInt8(value, at), bytes);
  const length = (value: number): Buffer => (bytes.length >= 4 && bytes.writeUInt16BE(value, 2), bytes);
  const ways: (() => Buffer)[] = [
    () => set(0, 0x65),
    () => set(0, 0x40 | random.between(0, 4)),
    () => set(0, 0x40 | random.between(6, 15)),
    () => length(random.chance(0.5) ? random.between(18, 44) : random.between(0, 60)),
    () => length(bytes.length + random.between(1, 3)),
    () => bytes.subarray(0, random.between(1, Math.min(bytes.length, 44))),
    () => set(32, random.between(0, 15) << 4),
    () => ipv4(d.ip, d.payload.subarray(0, random.between(0, 20))),
  ];
  d.override = random.pick(ways)();
}

/** One random octet of the headers becomes another. */
function flipped(random: Random, d: Draft): void {
  const bytes = Buffer.from(bytesOf(d));
  bytes.writeUInt8(random.between(0, 255), random.between(0, Math.min(bytes.length, 44) - 1));
  d.override = bytes;
}

function laterFragment(random: Random, d: Draft): void {
  d.ip.fragmentOffset = 8 * (random.chance(0.8) ? random.between(1, 100) : 256 * random.between(1, 31));
  d.ip.moreFragments = random.chance(0.5);
  if (random.chance(0.3)) d.ip.protocol = random.pick([PROTOCOLS.tcp, PROTOCOLS.udp]);
  d.ip.identification = random.pick([0, 1, 2, 900, 901, 902]);
  d.payload = random.bytes(random.between(0, 60));
}

const LONG = 200;

function superPacket(random: Random, d: Draft): void {
  if (d.ip.protocol !== PROTOCOLS.tcp && d.ip.protocol !== PROTOCOLS.udp) return;
  if (d.payload.length > LONG) return; // a test packet has to fit a page
  d.gsoSize = random.pick([100, 536, 560, 900, 960, 990, 1390, 1410, 1430, 1440, 1500]);
  if (random.chance(0.1)) d.vlanTci = random.between(1, 4095); // wrong twice, and before anything is measured
  // More than one segment's worth: else the kernel knows no super-packet.
  d.payload = Buffer.concat([d.payload, Buffer.alloc(d.gsoSize + random.pick([1, 99, 100, 101, 1000]))]);
  if (random.chance(0.3)) d.ip.totalLength = random.pick([0, 40]); // as of one that is longer than 16 bits can say
}

function withOptions(random: Random, d: Draft): void {
  const plain = bytesOf(d);
  const words = random.between(1, 10);
  const bytes = Buffer.concat([plain.subarray(0, 20), Buffer.alloc(words * 4, 1), plain.subarray(20)]);
  bytes.writeUInt8(0x45 + words, 0);
  bytes.writeUInt16BE(plain.length + words * 4, 2);
  d.override = bytes;
}

function multicast(random: Random, d: Draft): void {
  if (random.chance(0.4)) d.ethernet.dst = random.pick(["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb"]);
  else d.ip.dst = random.pick(["255.255.255.255", "224.0.0.251", "239.255.255.255"]);
}

function asArp(random: Random, d: Draft, { endpoints }: Configuration): void {
  const { origin } = d;
  const endpoint = endpoints.find((e) => origin.from === "instance" && e.ifindex === origin.ifindex);
  const own = endpoint?.addresses[0] ?? ADDRESSES[0]!;
  const fields: ArpFields = { senderMac: d.ethernet.src, sender: own, target: random.pick(ADDRESSES) };
  const ways: Partial<ArpFields>[] = [
    {},
    { sender: "0.0.0.0" },
    { sender: "0.0.0.0", senderMac: "06:00:00:00:00:77" },
    { target: own },
    { target: endpoint?.addresses.at(-1) ?? own },
    { operation: random.pick([0, 2, 3]) },
    { operation: 2, sender: "10.0.0.99" },
    { senderMac: foreignMac(random, d.ethernet.src) },
    { sender: random.pick(ADDRESSES) },
    { target: "0.0.0.0" },
    { target: "224.0.0.1" },
  ];
  const message = arp({ ...fields, ...random.pick(ways) });
  d.ethernet = { ...d.ethernet, type: ETHERTYPE.arp, dst: random.pick(["ff:ff:ff:ff:ff:ff", d.ethernet.dst]) };
  if (random.chance(0.3)) message.writeUInt8(random.between(0, 9), random.between(0, 7));
  d.override = random.chance(0.1) ? message.subarray(0, random.between(1, 27)) : message;
}

/** About as long as the interface allows. */
function long(random: Random, d: Draft): void {
  const total = random.pick([576, 1000, 1450]) + random.pick([-1, 0, 1, 1, 100]);
  const missing = total - 20 - d.payload.length;
  if (missing > 0) d.payload = Buffer.concat([d.payload, Buffer.alloc(missing)]);
  d.ip.dontFragment = random.chance(0.6);
  if (random.chance(0.1)) d.ip.fragmentOffset = 64;
}
