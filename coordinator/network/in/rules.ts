import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import type { SecurityGroupRule } from "#gen/plenum/network/v1/security_group.ts";
import { formatCidr } from "#lib/net/cidr.ts";
import { parseId } from "#lib/ids/ids.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { descriptionField } from "#lib/rpc/name.ts";
import { cidrField, enumValue, integer, listOf, required } from "#lib/rpc/validate.ts";
import type { Rule, RuleDirection, RuleProtocol } from "../core/model.ts";
import { protocolNumber, protocolOf } from "../core/protocol.ts";
import { MAX_RULES, portFault } from "../core/rules.ts";

const DIRECTIONS: Readonly<Record<RuleDirection, Direction>> = { ingress: Direction.INGRESS, egress: Direction.EGRESS };
const PROTOCOLS: Readonly<Record<Exclude<RuleProtocol, number>, Protocol>> = {
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

/** A protocol by its name, by its number, or by both, which then must agree. */
function decodeProtocol({ protocol, protocolNumber: sent }: SecurityGroupRule, field: string): RuleProtocol {
  const number = integer(sent, `${field}.protocol_number`, { min: 0, max: 255 });
  if (protocol === Protocol.UNSPECIFIED) return protocolOf(number);
  if (enumValue(protocol, Protocol, `${field}.protocol`) === Protocol.NUMBERED) {
    if (number === 0) throw invalidArgument(`${field}.protocol_number`, "is missing", "give 1 to 255");
    return protocolOf(number);
  }
  const named = nameOf(PROTOCOLS, protocol);
  if (number === 0 || number === protocolNumber(named)) return named;
  throw invalidArgument(`${field}.protocol_number`, `is ${number}`, `${named} is ${protocolNumber(named)}; give one of the two`);
}

function decodePeer(peer: SecurityGroupRule["peer"], field: string): Pick<Rule, "cidr" | "groupId"> {
  const { $case, value } = required(peer, `${field}.cidr`);
  if ($case === "securityGroupId") return { cidr: "", groupId: parseId("sg", value, `${field}.security_group_id`) };
  return { cidr: formatCidr(cidrField(value, `${field}.cidr`, { family: 4 })) };
}

function decodeRule(rule: SecurityGroupRule, field: string): Rule {
  const direction = nameOf(DIRECTIONS, enumValue(rule.direction, Direction, `${field}.direction`));
  const protocol = decodeProtocol(rule, field);
  const fault = portFault({ protocol, portFrom: rule.portFrom, portTo: rule.portTo });
  if (fault !== undefined) throw invalidArgument(`${field}.${fault.field}`, fault.fact, fault.remedy);
  const other = decodePeer(rule.peer, field);
  const description = descriptionField(rule.description, `${field}.description`);
  return { direction, protocol, portFrom: rule.portFrom, portTo: rule.portTo, ...other, description };
}

/** Rules as they were sent, `min` (default 0) to MAX_RULES, checked. INVALID_ARGUMENT names the first fault. */
export function decodeRules(rules: readonly SecurityGroupRule[], field: string, min = 0): Rule[] {
  return listOf(rules, field, { min, max: MAX_RULES }).map((rule, index) => decodeRule(rule, `${field}[${index}]`));
}

/** Peers must be groups of the rules' own VPC. Whose a group elsewhere is, is not said: INVALID_ARGUMENT either way. */
export function checkPeers(rules: readonly Rule[], field: string, vpcId: string, there: ReadonlySet<string>): void {
  for (const [index, { groupId = "" }] of rules.entries()) {
    if (groupId === "" || there.has(groupId)) continue;
    throw invalidArgument(`${field}[${index}].security_group_id`, `is ${groupId}`, `give a security group of ${vpcId}`);
  }
}

export function encodeRule(rule: Rule): SecurityGroupRule {
  return {
    direction: DIRECTIONS[rule.direction],
    protocol: typeof rule.protocol === "number" ? Protocol.NUMBERED : PROTOCOLS[rule.protocol],
    protocolNumber: protocolNumber(rule.protocol),
    portFrom: rule.portFrom,
    portTo: rule.portTo,
    peer: (rule.groupId ?? "") === "" ? { $case: "cidr", value: rule.cidr } : { $case: "securityGroupId", value: rule.groupId ?? "" },
    description: rule.description,
  };
}
