import type { Rule } from "./model.ts";
import { highestPort } from "./protocol.ts";

/** Rules of one group at most; a set of five groups then fits what a host judges by. */
export const MAX_RULES = 60;

/** What a VPC starts with: everything out, nothing in. */
export const DEFAULT_RULES: readonly Rule[] = [
  { direction: "egress", protocol: "any", portFrom: 0, portTo: 0, cidr: "0.0.0.0/0", description: "everything out" },
];

/** What is wrong with a rule's ports, and in which field; undefined: nothing. */
export function portFault(
  rule: Pick<Rule, "protocol" | "portFrom" | "portTo">,
): { field: "port_from" | "port_to"; fact: string; remedy: string } | undefined {
  const highest = highestPort(rule.protocol);
  for (const [field, port] of [
    ["port_from", rule.portFrom],
    ["port_to", rule.portTo],
  ] as const) {
    if (Number.isInteger(port) && port >= 0 && port <= highest) continue;
    const remedy = highest === 0 ? "name a protocol that has ports, or leave them 0" : `give 0 to ${highest}`;
    return { field, fact: `is ${port}`, remedy };
  }
  if (rule.portFrom <= rule.portTo) return undefined;
  return { field: "port_to", fact: `is ${rule.portTo}`, remedy: `give at least port_from (${rule.portFrom})` };
}

/** Groups that the rules name as peers, each once, in order of id. */
export const peerGroups = (rules: readonly Rule[]): string[] =>
  [...new Set(rules.flatMap(({ groupId = "" }) => (groupId === "" ? [] : [groupId])))].sort();

const FIELDS = ["direction", "protocol", "portFrom", "portTo", "cidr"] as const;

/** Whether two rules allow the same, however they are described. */
const allowsSame = (one: Rule, other: Rule): boolean =>
  FIELDS.every((field) => one[field] === other[field]) && (one.groupId ?? "") === (other.groupId ?? "");

const same = (one: Rule, other: Rule | undefined): boolean =>
  other !== undefined && allowsSame(one, other) && one.description === other.description;

/** Whether two lists say the same, order included. */
export function sameRules(one: readonly Rule[], other: readonly Rule[]): boolean {
  return one.length === other.length && one.every((rule, index) => same(rule, other[index]));
}

/** What a group allows once these are allowed too; what it allows already stays as it is described. */
export function withRules(now: readonly Rule[], added: readonly Rule[]): Rule[] {
  const rules = [...now];
  for (const rule of added) if (!rules.some((one) => allowsSame(one, rule))) rules.push(rule);
  return rules;
}

/** What is left once these are gone; `missing`: the first of them that is not there. */
export function withoutRules(now: readonly Rule[], gone: readonly Rule[]): { left: Rule[] } | { missing: number } {
  const missing = gone.findIndex((rule) => !now.some((one) => allowsSame(one, rule)));
  if (missing !== -1) return { missing };
  return { left: now.filter((one) => !gone.some((rule) => allowsSame(one, rule))) };
}
