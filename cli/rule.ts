import { CliError, ExitCode } from "./cli-error.ts";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import type { SecurityGroupRule } from "#gen/plenum/network/v1/security_group.ts";

const DIRECTIONS: Readonly<Record<string, Direction>> = { ingress: Direction.INGRESS, egress: Direction.EGRESS };
const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  any: Protocol.UNSPECIFIED,
  icmp: Protocol.ICMP,
  tcp: Protocol.TCP,
  udp: Protocol.UDP,
};

/** How a rule is written, for help texts and errors. */
export const RULE_SYNTAX = "<ingress|egress>:<any|icmp|tcp|udp|number>[:<port>|:<from>-<to>]:<cidr or group>";

const RULE = /^([a-z]+):([a-z]+|[1-9]\d{0,2})(?::(\d{1,5})(?:-(\d{1,5}))?)?:([0-9a-fA-F.:]+\/\d{1,3}|sg-[0-9a-f]{32})$/;

/** "ingress:tcp:80:10.0.0.0/8" → a rule. Whether address and ports make sense is for the server to say. @throws CliError */
export function parseRule(text: string): SecurityGroupRule {
  const [, direction = "", protocol = "", from, to, peer] = RULE.exec(text) ?? [];
  const parsedDirection = DIRECTIONS[direction];
  const protocolNumber = /^\d+$/.test(protocol) ? Number(protocol) : 0;
  // By its number alone: the server finds the name, where there is one.
  const parsedProtocol = protocolNumber === 0 ? PROTOCOLS[protocol] : Protocol.UNSPECIFIED;
  if (parsedDirection === undefined || parsedProtocol === undefined || peer === undefined) {
    throw new CliError(
      `${JSON.stringify(text)} is not a rule`,
      `write ${RULE_SYNTAX}, for example ingress:tcp:80:10.0.0.0/8 or ingress:tcp:80:sg-… (a group's name does, too)`,
      ExitCode.USAGE,
    );
  }
  const portFrom = Number(from ?? 0);
  return {
    direction: parsedDirection,
    protocol: parsedProtocol,
    protocolNumber,
    portFrom,
    portTo: Number(to ?? portFrom),
    peer: peer.startsWith("sg-") ? { $case: "securityGroupId", value: peer } : { $case: "cidr", value: peer },
    description: "",
  };
}

/** The name of a group in the place of a rule's peer, where neither a block, an id nor a port is; undefined: none. */
export function ruleGroup(text: string): string | undefined {
  const peer = /^[a-z]+:(?:[a-z]+|[1-9]\d{0,2})(?::\d{1,5}(?:-\d{1,5})?)?:([^:]+)$/.exec(text)?.[1];
  return peer === undefined || /^\d[\d-]*$|\/\d{1,3}$|^sg-[0-9a-f]{32}$/.test(peer) ? undefined : peer;
}

const nameOf = <T>(names: Readonly<Record<string, T>>, value: T): string => Object.entries(names).find(([, v]) => v === value)?.[0] ?? "?";

/** The same, back: by its name what has one. */
export function formatRule(rule: SecurityGroupRule): string {
  const numbered = rule.protocol === Protocol.NUMBERED || (rule.protocol === Protocol.UNSPECIFIED && rule.protocolNumber !== 0);
  const protocol = numbered ? String(rule.protocolNumber) : nameOf(PROTOCOLS, rule.protocol);
  const ports =
    rule.portFrom === 0 && rule.portTo === 0
      ? []
      : [rule.portFrom === rule.portTo ? `${rule.portFrom}` : `${rule.portFrom}-${rule.portTo}`];
  return [nameOf(DIRECTIONS, rule.direction), protocol, ...ports, rule.peer?.value ?? "?"].join(":");
}
