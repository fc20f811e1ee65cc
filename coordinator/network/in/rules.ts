import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import type { SecurityGroupRule } from "#gen/plenum/network/v1/security_group.ts";
import { formatCidr } from "#lib/net/cidr.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { cidrField, displayName, enumValue, listOf, required } from "#lib/rpc/validate.ts";
import type { Rule, RuleDirection, RuleProtocol } from "../core/model.ts";
import { MAX_RULES, portFault } from "../core/rules.ts";

const DIRECTIONS: Readonly<Record<RuleDirection, Direction>> = { ingress: Direction.INGRESS, egress: Direction.EGRESS };
const PROTOCOLS: Readonly<Record<RuleProtocol, Protocol>> = {
  any: Protocol.UNSPECIFIED,
  icmp: Protocol.ICMP,
  tcp: Protocol.TCP,
  udp: Protocol.UDP,
};

const nameOf = <Name extends string>(names: Readonly<Record<Name, number>>, value: number): Name => {
  const found = (Object.entries(names) as [Name, number][]).find(([, number]) => number === value);
  if (found === undefined) throw new RangeError(`no name for ${value}`);
  return found[0];
};

function decodeRule(rule: SecurityGroupRule, field: string): Rule {
  const direction = nameOf(DIRECTIONS, enumValue(rule.direction, Direction, `${field}.direction`));
  const protocol =
    rule.protocol === Protocol.UNSPECIFIED ? "any" : nameOf(PROTOCOLS, enumValue(rule.protocol, Protocol, `${field}.protocol`));
  const fault = portFault({ protocol, portFrom: rule.portFrom, portTo: rule.portTo });
  if (fault !== undefined) throw invalidArgument(`${field}.${fault.field}`, fault.fact, fault.remedy);
  const cidr = formatCidr(cidrField(required(rule.peer, `${field}.cidr`).value, `${field}.cidr`, { family: 4 }));
  const description = displayName(rule.description, `${field}.description`, { max: 256 });
  return { direction, protocol, portFrom: rule.portFrom, portTo: rule.portTo, cidr, description };
}

/** Rules as they were sent, checked. INVALID_ARGUMENT names the first fault. */
export function decodeRules(rules: readonly SecurityGroupRule[], field: string): Rule[] {
  return listOf(rules, field, { max: MAX_RULES }).map((rule, index) => decodeRule(rule, `${field}[${index}]`));
}

export function encodeRule(rule: Rule): SecurityGroupRule {
  return {
    direction: DIRECTIONS[rule.direction],
    protocol: PROTOCOLS[rule.protocol],
    portFrom: rule.portFrom,
    portTo: rule.portTo,
    peer: { $case: "cidr", value: rule.cidr },
    description: rule.description,
  };
}
