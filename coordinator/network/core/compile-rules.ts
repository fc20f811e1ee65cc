import type { HostRule } from "#gen/plenum/host/v1/host_feed.ts";
import type { Rule } from "./model.ts";
import { protocolNumber } from "./protocol.ts";

const ALL_PORTS = { portFrom: 0, portTo: 65_535 };

/** Interned sets that contain a group, by the group's id. A group that is missing is in no set yet. */
export type SetsOfGroups = ReadonlyMap<string, readonly number[]>;

function hostRule(rule: Rule): HostRule {
  const peerGroupId = rule.groupId ?? "";
  return {
    egress: rule.direction === "egress",
    protocol: protocolNumber(rule.protocol),
    ...(rule.portFrom === 0 && rule.portTo === 0 ? ALL_PORTS : { portFrom: rule.portFrom, portTo: rule.portTo }),
    peerCidr: rule.cidr,
    peerIsGroup: peerGroupId !== "",
    peerGroupSetIds: [],
    peerGroupId,
  };
}

const peer = (rule: HostRule): string => (rule.peerIsGroup ? `g ${rule.peerGroupId}` : rule.peerCidr);
const key = (rule: HostRule): string => `${rule.egress ? "e" : "i"} ${rule.protocol} ${rule.portFrom} ${rule.portTo} ${peer(rule)}`;

/**
 * The rules of all groups of a set as a host judges by them: without descriptions and repeats, in an order of their own. A peer that is a
 * group is named; which sets contain it is filled in when they are sent (ADR 0011).
 */
export function compileRules(groups: readonly { readonly rules: readonly Rule[] }[]): HostRule[] {
  const byKey = new Map(groups.flatMap((group) => group.rules.map(hostRule)).map((rule) => [key(rule), rule]));
  return [...byKey.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule);
}

/** Groups that compiled rules name so that their sets are filled in: each once, in order of id. */
export const namedPeers = (rules: readonly HostRule[]): string[] =>
  [...new Set(rules.flatMap(({ peerGroupId }) => (peerGroupId === "" ? [] : [peerGroupId])))].sort();

/** The rules with the sets that the groups they name are in now. */
export const withSets = (rules: readonly HostRule[], sets: SetsOfGroups): HostRule[] =>
  rules.map((rule) =>
    rule.peerGroupId === "" ? rule : { ...rule, peerGroupSetIds: (sets.get(rule.peerGroupId) ?? []).toSorted((a, b) => a - b) },
  );
