import { parseAddress } from "#lib/net/address.ts";
import { cidr, containsAddress } from "#lib/net/cidr.ts";
import { NO_GROUPS, type Direction, type Rule } from "./configuration.ts";
import { hasPorts, ICMP, type Transport } from "./transport.ts";

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

const LAST_PORT = 65535;

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
  if ("groupSetIds" in wanted) return groupSetId !== NO_GROUPS && wanted.groupSetIds.includes(groupSetId);
  const address = parseAddress(peer);
  return address !== undefined && containsAddress(cidr(wanted.cidr), address);
}

function matchesPort(rule: Rule, { port }: Question): boolean {
  if (needsNoPort(rule)) return true;
  return port !== undefined && port >= rule.portFrom && port <= rule.portTo;
}

/** All of its protocol. Any protocol, and one without ports, cannot be narrowed. */
function needsNoPort({ protocol: ruled, portFrom, portTo }: Rule): boolean {
  if (ruled === 0 || !hasPorts(ruled)) return true;
  return portFrom === 0 && portTo === LAST_PORT;
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
