import type { Rule } from "./ports.ts";

/**
 * The rules of one direction taken apart into three tables, so that a judgement costs three lookups however many rules there are
 * (docs/adr/0005-rules-as-bit-sets.md). Rule n is bit n of every set. Allowed: `(peer bits | group bits) & port bits` is not 0.
 */
export interface RuleIndex {
  /** Longest prefix of the peer's address counts; its bits include those of the shorter prefixes around it. */
  peers: { family: 4 | 6; network: Uint8Array; length: number; bits: bigint }[];
  /** Longest prefix of (protocol, port) counts, with the bits of those around it. */
  ports: PortEntry[];
  /** By protocol: rules that allow some port of it. For packets whose port is not known. */
  anyPort: PortEntry[];
  /** The peer's group set. */
  groups: { groupSetId: number; bits: bigint }[];
}

export interface PortEntry {
  protocol: number;
  port: number;
  /** In bits of protocol and port: 0 (any protocol), 8 (a whole protocol), 9..24. */
  length: number;
  bits: bigint;
}

export interface Prefix {
  family: 4 | 6;
  /** 4 or 16 bytes, zero beyond `length`. */
  network: Uint8Array;
  length: number;
}

/** As many as there are bits. */
export const RULES_PER_DIRECTION = 256;

/** ICMP (by its type), TCP, UDP, DCCP, SCTP, UDP-Lite: what the programs read ports of (bpf/parse.h). */
const WITH_PORTS = new Set([1, 6, 17, 33, 132, 136]);
const PROTOCOL_LENGTH = 8;
const WHOLE_LENGTH = 24;

/**
 * @param prefixOf reads a block
 * @throws RangeError for more than 256 rules, or protocols, ports or group sets out of range
 */
export function indexRules(rules: readonly Rule[], prefixOf: (cidr: string) => Prefix): RuleIndex {
  if (rules.length > RULES_PER_DIRECTION) throw new RangeError(`at most ${RULES_PER_DIRECTION} rules a direction, not ${rules.length}`);
  const peers = new Map<string, Prefix & { bits: bigint }>();
  const ports = new Map<string, PortEntry>();
  const anyPort = new Map<string, PortEntry>();
  const groups = new Map<number, bigint>();
  rules.forEach((rule, n) => {
    const bit = 1n << BigInt(n);
    if ("peerGroupSets" in rule) {
      for (const id of rule.peerGroupSets) groups.set(inRange("group set", id, 1, 0xffffffff), (groups.get(id) ?? 0n) | bit);
    } else {
      const prefix = prefixOf(rule.peerCidr);
      merge(peers, peerName(prefix, prefix.length), { ...prefix, bits: 0n }, bit);
    }
    for (const entry of portPrefixes(rule)) merge(ports, portName(entry, entry.length), { ...entry, bits: 0n }, bit);
    const whole = { protocol: rule.protocol, port: 0, length: rule.protocol === 0 ? 0 : PROTOCOL_LENGTH };
    merge(anyPort, portName(whole, whole.length), { ...whole, bits: 0n }, bit);
  });
  return {
    peers: withShorter(peers, peerName),
    ports: withShorter(ports, portName),
    anyPort: withShorter(anyPort, portName),
    groups: [...groups].map(([groupSetId, bits]) => ({ groupSetId, bits })),
  };
}

function merge<T extends { bits: bigint }>(into: Map<string, T>, name: string, empty: T, bit: bigint): void {
  const entry = into.get(name) ?? empty;
  entry.bits |= bit;
  into.set(name, entry);
}

/** Adds to each prefix the bits of all that cover it. */
function withShorter<T extends { length: number; bits: bigint }>(own: Map<string, T>, name: (entry: T, length: number) => string): T[] {
  return [...own.values()].map((entry) => {
    let { bits } = entry;
    for (let length = 0; length < entry.length; length++) bits |= own.get(name(entry, length))?.bits ?? 0n;
    return { ...entry, bits };
  });
}

function peerName({ family, network }: Prefix, length: number): string {
  const bytes = Math.ceil(length / 8);
  const head = Buffer.from(network.subarray(0, bytes));
  if (length % 8 !== 0) head[bytes - 1]! &= 0xff << (8 - (length % 8));
  return `${family} ${length} ${head.toString("hex")}`;
}

function portName({ protocol, port }: Omit<PortEntry, "bits">, length: number): string {
  const head = ((protocol << 16) | port) >>> (WHOLE_LENGTH - length);
  return `${length} ${length === 0 ? 0 : head}`;
}

/** The fewest prefixes that make up a rule's protocol and ports. */
function portPrefixes({ protocol, portFrom, portTo }: Rule): Omit<PortEntry, "bits">[] {
  inRange("protocol", protocol, 0, 255);
  inRange("first port", portFrom, 0, 65535);
  inRange("last port", portTo, portFrom, 65535);
  if (protocol === 0) return [{ protocol, port: 0, length: 0 }];
  if (!WITH_PORTS.has(protocol)) return [{ protocol, port: 0, length: PROTOCOL_LENGTH }];
  const prefixes = [];
  for (let port = portFrom; port <= portTo;) {
    let free = 0; // low bits that may be anything
    while (free < 16 && port % (1 << (free + 1)) === 0 && port + (1 << (free + 1)) - 1 <= portTo) free++;
    prefixes.push({ protocol, port, length: WHOLE_LENGTH - free });
    port += 1 << free;
  }
  return prefixes;
}

function inRange(what: string, value: number, from: number, to: number): number {
  if (!Number.isInteger(value) || value < from || value > to) throw new RangeError(`${what} must be ${from}..${to}, not ${value}`);
  return value;
}
