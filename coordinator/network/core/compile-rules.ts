import type { HostRule } from "#gen/plenum/host/v1/host_feed.ts";
import type { Rule } from "./model.ts";
import { protocolNumber } from "./protocol.ts";

const ALL_PORTS = { portFrom: 0, portTo: 65_535 };

/** Interned sets that contain a group, by the group's id. A group that is missing is in no set yet. */
export type SetsOfGroups = ReadonlyMap<string, readonly number[]>;

function hostRule(rule: Rule, sets: SetsOfGroups): HostRule {
  const groupId = rule.groupId ?? "";
  return {
    egress: rule.direction === "egress",
    protocol: protocolNumber(rule.protocol),
    ...(rule.portFrom === 0 && rule.portTo === 0 ? ALL_PORTS : { portFrom: rule.portFrom, portTo: rule.portTo }),
    peerCidr: rule.cidr,
    peerIsGroup: groupId !== "",
    peerGroupSetIds: groupId === "" ? [] : (sets.get(groupId) ?? []).toSorted((a, b) => a - b),
  };
}

const peer = (rule: HostRule): string => (rule.peerIsGroup ? `g ${rule.peerGroupSetIds.join(",")}` : rule.peerCidr);
const key = (rule: HostRule): string => `${rule.egress ? "e" : "i"} ${rule.protocol} ${rule.portFrom} ${rule.portTo} ${peer(rule)}`;

/**
 * The rules of all groups of a set as a host judges by them: without descriptions and repeats, in an order of their own. A peer that is
 * a group becomes the sets that contain it now: a new such set makes a new ruleset.
 */
export function compileRules(groups: readonly { readonly rules: readonly Rule[] }[], sets: SetsOfGroups = new Map()): HostRule[] {
  const rules = groups.flatMap((group) => group.rules.map((rule) => hostRule(rule, sets)));
  const byKey = new Map(rules.map((rule) => [key(rule), rule]));
  return [...byKey.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule);
}
