import { parseAddress } from "#lib/net/address.ts";
import { cidr, containsAddress } from "#lib/net/cidr.ts";
import type { Direction, Rule } from "./configuration.ts";
import { ICMP, PROTOCOL, type Transport } from "./transport.ts";

/** What a packet, or the packet that began its connection, asks of the rules of an interface. */
export interface Question {
  readonly direction: Direction;
  readonly protocol: number;
  /** Destination port; for ICMP the type. Undefined: not shown. */
  readonly port: number | undefined;
  /** Of the other side. */
  readonly peer: string;
  readonly groupSetId: number;
}

const ALL_PORTS = 65535;
const ALL_ICMP_TYPES = 255;

/** A rule that allows it exists. */
export function isAllowed(rules: readonly Rule[], question: Question): boolean {
  return rules.some((rule) => matchesButForPort(rule, question) && matchesPort(rule, question));
}

/** A port is what is missing: some rule would allow the packet if it showed the right one. */
export function dependsOnPort(rules: readonly Rule[], question: Question): boolean {
  return question.port === undefined && rules.some((rule) => matchesButForPort(rule, question));
}

function matchesButForPort(rule: Rule, { direction, protocol, peer, groupSetId }: Question): boolean {
  return rule.direction === direction && (rule.protocol === 0 || rule.protocol === protocol) && matchesPeer(rule.peer, peer, groupSetId);
}

function matchesPeer(wanted: Rule["peer"], peer: string, groupSetId: number): boolean {
  if ("groupSetIds" in wanted) return wanted.groupSetIds.includes(groupSetId);
  const address = parseAddress(peer);
  return address !== undefined && containsAddress(cidr(wanted.cidr), address);
}

function matchesPort(rule: Rule, { protocol, port }: Question): boolean {
  if (needsNoPort(rule, protocol)) return true;
  return port !== undefined && port >= rule.portFrom && port <= rule.portTo;
}

function needsNoPort({ protocol: ruled, portFrom, portTo }: Rule, protocol: number): boolean {
  if (ruled === 0 || portsOf(protocol) === 0) return true;
  return portFrom === 0 && portTo >= portsOf(protocol);
}

/** The largest number that rules can name in a protocol; 0: it has none. */
function portsOf(protocol: number): number {
  if (protocol === PROTOCOL.icmp) return ALL_ICMP_TYPES;
  return protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp ? ALL_PORTS : 0;
}

/** What rules compare with their range. */
export function ruledPort(transport: Transport): number | undefined {
  switch (transport.kind) {
    case "ports":
      return transport.destination;
    case "echo":
      return transport.reply ? ICMP.echoReply : ICMP.echoRequest;
    case "icmp":
    case "icmp-error":
      return transport.type;
    case "portless":
      return 0;
    case "hidden":
      return undefined;
  }
}
