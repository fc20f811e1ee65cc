import type { Configuration, Endpoint, Mapping, Rule, Ruleset } from "#lib/model/index.ts";
import type { Random } from "./random.ts";
import { withShares } from "./shares.ts";

/** Random configurations of a small world: two networks with the same addresses, this host and two others. */

export const HERE = "198.18.0.1";
export const THERE = ["198.18.0.2", "198.18.0.3"] as const;
/** Hosts that have no IPv4 address on the substrate: each differs from this one's in another part of the mapped form. */
const THERE6 = ["fd00::ffff:c612:1", "::1:0:ffff:c612:1", "::c612:1", "fd00::9"] as const;
export const STRANGER = "198.18.0.66";
/** Ids that differ in their upper bits alone are among them: a program that carries part of an id is to be noticed. */
export const VNIS = [700, 0x8002bc] as const;
export const ADDRESSES = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}`);
export const GROUP_SETS = [0, 1, 2, 0x01000002, 0xa0b0c0d0] as const;
export const PORTS = [22, 80, 443, 5000, 5353, 6000] as const;
export const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, dccp: 33, gre: 47, sctp: 132, udpLite: 136 } as const;
const NOBODY = 0xdead;
/** Connections: more than a story begins. */
const PLENTY = 256;

/** A device that the host has; endpoints use all but the last. */
export interface Port {
  readonly ifindex: number;
}

export interface World {
  readonly ports: readonly Port[];
  readonly tunnelIfindex: number;
}

export function randomRuleset(random: Random): Ruleset {
  const direction = (): Rule["direction"] => random.pick(["ingress", "egress"] as const);
  const id = random.between(1, 0xffffffff);
  const kind = random.weighted([
    [14, membersOnly],
    [18, services],
    [68, undefined],
  ]);
  if (kind !== undefined) return { id, rules: [...kind(random, "ingress"), ...kind(random, "egress")] };
  const rules = random.chance(0.08) ? others(random) : [];
  rules.push(...random.list(0, 8, (): Rule => ({ direction: direction(), ...randomMatch(random) })));
  for (const generous of ["ingress", "egress"] as const)
    if (random.chance(0.85)) rules.push({ direction: generous, protocol: 0, portFrom: 0, portTo: 65535, peer: { cidr: "0.0.0.0/0" } });
  return { id, rules };
}

/** Nothing but groups decides. */
export function membersOnlyRuleset(random: Random): Ruleset {
  return { id: random.between(1, 0xffffffff), rules: [...membersOnly(random, "ingress"), ...membersOnly(random, "egress")] };
}

/** Services in both directions, and GRE: an ICMP error passes with its connection only. */
export function servicesRuleset(random: Random): Ruleset {
  const cidr = "0.0.0.0/0";
  const gre = { protocol: PROTOCOLS.gre, portFrom: 0, portTo: 65535, peer: { cidr } };
  const rules = (["ingress", "egress"] as const).flatMap((direction) => [...services(random, direction, cidr), { direction, ...gre }]);
  return { id: random.between(1, 0xffffffff), rules };
}

/** All may pass. */
export function openRuleset(random: Random): Ruleset {
  const everything = { protocol: 0, portFrom: 0, portTo: 65535, peer: { cidr: "0.0.0.0/0" } };
  return { id: random.between(1, 0xffffffff), rules: (["ingress", "egress"] as const).map((direction) => ({ direction, ...everything })) };
}

/** So many, about nobody, that those after them come to stand in another word of the program's sets. */
function others(random: Random): Rule[] {
  const nobody = { protocol: 0, portFrom: 0, portTo: 65535, peer: { cidr: "192.0.2.77/32" } };
  const count = 64 * random.between(1, 3);
  return (["ingress", "egress"] as const).flatMap((direction) => Array.from({ length: count }, () => ({ direction, ...nobody })));
}

/** Everything, with members of some groups. */
function membersOnly(random: Random, direction: Rule["direction"]): Rule[] {
  const groupSetIds = GROUP_SETS.slice(1).filter(() => random.chance(0.6));
  return [{ direction, protocol: 0, portFrom: 0, portTo: 65535, peer: { groupSetIds } }];
}

const BLOCKS = ["0.0.0.0/0", "10.0.0.0/30", "10.0.0.4/30", "10.0.0.8/29"];

/** Some services, of some neighbours: what allows one way of a flow denies the other. */
function services(random: Random, direction: Rule["direction"], cidr = random.pick(BLOCKS)): Rule[] {
  const peer = { cidr };
  const ports = PORTS.filter(() => random.chance(0.7)).flatMap((port) =>
    [PROTOCOLS.tcp, PROTOCOLS.udp, PROTOCOLS.dccp].map((protocol) => ({ direction, protocol, portFrom: port, portTo: port, peer })),
  );
  const icmp = [8, ...(random.chance(0.5) ? [13] : [])].map((type) => ({
    ...{ direction, protocol: PROTOCOLS.icmp, portFrom: type, portTo: type, peer },
  }));
  return [...ports, ...icmp];
}

function randomMatch(random: Random): Omit<Rule, "direction"> {
  const protocol = random.weighted([
    [2, 0],
    [3, PROTOCOLS.icmp],
    [4, PROTOCOLS.tcp],
    [4, PROTOCOLS.udp],
    [1, PROTOCOLS.gre],
    [0.5, PROTOCOLS.sctp],
    [0.5, PROTOCOLS.dccp],
    [0.5, PROTOCOLS.udpLite],
  ]);
  return { protocol, ...randomRange(random, protocol), peer: randomPeer(random) };
}

function randomRange(random: Random, protocol: number): { portFrom: number; portTo: number } {
  if (random.chance(0.4)) return { portFrom: 0, portTo: protocol === PROTOCOLS.icmp && random.chance(0.5) ? 255 : 65535 };
  if (protocol === PROTOCOLS.icmp) {
    const type = random.pick([0, 3, 8, 8, 8, 11, 13]);
    return { portFrom: type, portTo: random.chance(0.7) ? type : random.between(type, 20) };
  }
  const port = random.pick(PORTS);
  return random.chance(0.5) ? { portFrom: port, portTo: port } : { portFrom: random.between(0, port), portTo: random.between(port, 65535) };
}

function randomPeer(random: Random): Rule["peer"] {
  if (random.chance(0.35)) return { groupSetIds: random.list(0, 3, () => random.pick(GROUP_SETS.slice(1))) };
  const cidr = random.pick([
    "0.0.0.0/0",
    "10.0.0.0/24",
    "10.0.0.0/30",
    "10.0.0.4/30",
    `${random.pick(ADDRESSES)}/32`,
    "172.16.0.0/12",
    "::/0",
  ]);
  return { cidr };
}

export function randomConfiguration(random: Random, world: World): Configuration {
  const rulesets = random.list(2, 4, () => randomRuleset(random));
  const open = world.ports.slice(0, -1).map(({ ifindex }, i) => randomEndpoint(random, { ifindex, number: i, rulesets }));
  const { endpoints, connectionCommon } = withShares(open, open[0]?.wireId ?? 0);
  return {
    host: { address: HERE, tunnelIfindex: world.tunnelIfindex },
    endpoints,
    connectionTable: random.chance(0.1) ? random.between(0, 5) : PLENTY,
    connectionCommon,
    meterIds: new Set(endpoints.filter(() => random.chance(0.95)).map((e) => e.meterId)),
    rulesets,
    mappings: [...endpoints.flatMap((e) => mappingsOf(e)), ...randomMappings(random, endpoints)],
  };
}

interface Place {
  ifindex: number;
  number: number;
  rulesets: readonly Ruleset[];
}

/** Endpoints of one network do not share addresses; those of two do. */
function randomEndpoint(random: Random, { ifindex, number, rulesets }: Place): Endpoint {
  const vni = VNIS[number === 3 ? 1 : 0];
  const own = number === 3 ? ADDRESSES[0]! : ADDRESSES[number]!;
  return {
    wireId: random.between(1, 0xffffff) * 256 + number,
    vni,
    addresses: addressesOf(random, number, own),
    guestMac: `06:00:00:00:00:0${number + 1}`,
    gatewayMac: random.pick(["06:00:00:00:ff:ff", "06:00:00:00:ee:01"]),
    ifindex,
    device: random.pick(["veth", "tap"] as const),
    guestMtu: random.pick([576, 1000, 1450, 1450]),
    rulesetId: random.pick(rulesets).id,
    groupSetId: random.pick(GROUP_SETS),
    meterId: (BigInt(random.between(1, 0xfffff)) << 40n) + BigInt(random.between(0, 0xffff) * 16 + number),
    sourceDestCheck: number !== 2 || random.chance(0.5),
    disabled: false,
    connectionBudget: random.weighted([
      [6, 65536],
      [1, 1],
      [1, 3],
      [1, 6],
    ]),
    connectionShare: 0, // withShares
  };
}

/** One, or two, or as many as an interface may have. */
function addressesOf(random: Random, number: number, own: string): string[] {
  if (number === 1) return [own, ADDRESSES[3]!];
  return number === 0 && random.chance(0.1) ? [own, ...Array.from({ length: 15 }, (_, i) => `10.0.1.${i + 1}`)] : [own];
}

export function mappingsOf(endpoint: Endpoint): Mapping[] {
  const { vni, wireId, groupSetId } = endpoint;
  return endpoint.addresses.map((address) => ({ vni, address, hostAddress: HERE, wireId, groupSetId }));
}

/** Of the addresses that no endpoint here has: mostly right ones of other hosts, some wrong, some left out. */
function randomMappings(random: Random, endpoints: readonly Endpoint[]): Mapping[] {
  return VNIS.flatMap((vni) => {
    const free = ADDRESSES.filter((a) => !endpoints.some((e) => e.vni === vni && e.addresses.includes(a)));
    return free.flatMap((address): Mapping[] => {
      const there = {
        vni,
        address,
        hostAddress: random.pick(THERE),
        wireId: random.between(1, 0xffffff) * 256 + 0x80,
        groupSetId: random.pick(GROUP_SETS),
      };
      return random.weighted<() => Mapping[]>([
        [8, () => [there]],
        [1, () => []],
        [1, () => [{ ...there, hostAddress: HERE, wireId: NOBODY }]],
        [1, () => [{ ...there, hostAddress: HERE, wireId: random.pick(endpoints).wireId }]],
        [1, () => [{ ...there, hostAddress: random.pick(THERE6) }]],
      ])();
    });
  });
}
