import type { Rule, RuleProtocol } from "./model.ts";

/** Rules of one group at most; a set of five groups then fits what a host judges by. */
export const MAX_RULES = 60;

/** What a VPC starts with: everything out, nothing in. */
export const DEFAULT_RULES: readonly Rule[] = [
  { direction: "egress", protocol: "any", portFrom: 0, portTo: 0, cidr: "0.0.0.0/0", description: "everything out" },
];

const HIGHEST: Readonly<Record<RuleProtocol, number>> = { any: 0, icmp: 255, tcp: 65_535, udp: 65_535 };

/** What is wrong with a rule's ports, and in which field; undefined: nothing. */
export function portFault(
  rule: Pick<Rule, "protocol" | "portFrom" | "portTo">,
): { field: "port_from" | "port_to"; fact: string; remedy: string } | undefined {
  const highest = HIGHEST[rule.protocol];
  for (const [field, port] of [
    ["port_from", rule.portFrom],
    ["port_to", rule.portTo],
  ] as const) {
    if (Number.isInteger(port) && port >= 0 && port <= highest) continue;
    const remedy = highest === 0 ? "name a protocol, or leave the ports 0" : `give 0 to ${highest}`;
    return { field, fact: `is ${port}`, remedy };
  }
  if (rule.portFrom <= rule.portTo) return undefined;
  return { field: "port_to", fact: `is ${rule.portTo}`, remedy: `give at least port_from (${rule.portFrom})` };
}

/** Groups that the rules name as peers, each once, in order of id. */
export const peerGroups = (rules: readonly Rule[]): string[] =>
  [...new Set(rules.flatMap(({ groupId = "" }) => (groupId === "" ? [] : [groupId])))].sort();

const FIELDS = ["direction", "protocol", "portFrom", "portTo", "cidr", "description"] as const;

const same = (one: Rule, other: Rule | undefined): boolean =>
  FIELDS.every((field) => one[field] === other?.[field]) && (one.groupId ?? "") === (other?.groupId ?? "");

/** Whether two lists say the same, order included. */
export function sameRules(one: readonly Rule[], other: readonly Rule[]): boolean {
  return one.length === other.length && one.every((rule, index) => same(rule, other[index]));
}
