import type { Configuration, Endpoint, Mapping, Rule, Ruleset } from "#lib/model/index.ts";
import type { Random } from "./random.ts";

/** Random configurations of a small world: two networks with the same addresses, this host and two others. */

export const HERE = "198.18.0.1";
export const THERE = ["198.18.0.2", "198.18.0.3"] as const;
/** A host that has no IPv4 address on the substrate. */
const THERE6 = "fd00::9";
export const STRANGER = "198.18.0.66";
export const VNIS = [700, 701] as const;
export const ADDRESSES = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}`);
export const GROUP_SETS = [0, 1, 2, 3, 0xa0b0c0d0] as const;
export const PORTS = [22, 80, 443, 5000, 5353, 6000] as const;
export const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, gre: 47, sctp: 132 } as const;
const NOBODY = 0xdead;

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
  const id = random.between(1, 0x7fffffff);
  if (random.chance(0.25)) return { id, rules: [membersOnly(random, "ingress"), membersOnly(random, "egress")] };
  const rules = random.list(0, 8, (): Rule => ({ direction: direction(), ...randomMatch(random) }));
  for (const generous of ["ingress", "egress"] as const)
    if (random.chance(0.57)) rules.push({ direction: generous, protocol: 0, portFrom: 0, portTo: 65535, peer: { cidr: "0.0.0.0/0" } });
  return { id, rules };
}

/** Everything, with members of some groups. */
function membersOnly(random: Random, direction: Rule["direction"]): Rule {
  const groupSetIds = GROUP_SETS.slice(1).filter(() => random.chance(0.6));
  return { direction, protocol: 0, portFrom: 0, portTo: 65535, peer: { groupSetIds } };
}

function randomMatch(random: Random): Omit<Rule, "direction"> {
  const protocol = random.weighted([
    [2, 0],
    [3, PROTOCOLS.icmp],
    [4, PROTOCOLS.tcp],
    [4, PROTOCOLS.udp],
    [1, PROTOCOLS.gre],
    [1, PROTOCOLS.sctp],
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
  const cidr = random.pick(["0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/30", "10.0.0.4/30", `${random.pick(ADDRESSES)}/32`, "172.16.0.0/12"]);
  return { cidr };
}

export function randomConfiguration(random: Random, world: World): Configuration {
  const rulesets = random.list(2, 4, () => randomRuleset(random));
  const endpoints = world.ports.slice(0, -1).map(({ ifindex }, i) => randomEndpoint(random, { ifindex, number: i, rulesets }));
  return {
    host: { address: HERE, tunnelIfindex: world.tunnelIfindex },
    endpoints,
    meterIds: new Set(endpoints.map((e) => e.meterId)),
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
    wireId: 0x1000 + random.between(0, 0xfff) * 16 + number,
    vni,
    addresses: number === 1 ? [own, ADDRESSES[3]!] : [own],
    guestMac: `06:00:00:00:00:0${number + 1}`,
    gatewayMac: random.pick(["06:00:00:00:ff:ff", "06:00:00:00:ee:01"]),
    ifindex,
    device: random.pick(["veth", "tap"] as const),
    guestMtu: random.pick([576, 1000, 1450, 1450]),
    rulesetId: random.pick(rulesets).id,
    groupSetId: random.pick(GROUP_SETS),
    meterId: BigInt(random.between(1, 0xffffffff)) * 16n + BigInt(number),
    sourceDestCheck: number !== 2 || random.chance(0.5),
    disabled: false,
    connectionBudget: random.weighted([
      [6, 65536],
      [1, 1],
      [1, 3],
      [1, 6],
    ]),
  };
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
        wireId: 0x80000 + random.between(0, 0xffff),
        groupSetId: random.pick(GROUP_SETS),
      };
      return random.weighted<() => Mapping[]>([
        [8, () => [there]],
        [1, () => []],
        [1, () => [{ ...there, hostAddress: HERE, wireId: NOBODY }]],
        [1, () => [{ ...there, hostAddress: HERE, wireId: random.pick(endpoints).wireId }]],
        [1, () => [{ ...there, hostAddress: THERE6 }]],
      ])();
    });
  });
}
