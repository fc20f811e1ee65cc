import type { PeerGroupItem, RulesetItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { Rule, Ruleset } from "./ports.ts";

/**
 * What rules are once sets of groups came or went, under the same id (docs/adr/0011-peers-apart-from-rules.md); undefined: they do not name
 * the group. Told twice is told once.
 */
export function withMovedSets(item: RulesetItem, change: PeerGroupItem): RulesetItem | undefined {
  if (!item.rules.some((rule) => named(rule.peerGroupId, change))) return undefined;
  const removed = new Set(change.removedGroupSetIds);
  const rules = item.rules.map((rule) => {
    if (!named(rule.peerGroupId, change)) return rule;
    const sets = new Set([...rule.peerGroupSetIds.filter((id) => !removed.has(id)), ...change.addedGroupSetIds]);
    return { ...rule, peerGroupSetIds: [...sets].sort((a, b) => a - b) };
  });
  return { ...item, rules };
}

/** The empty name is of rules that name none: those never change. */
const named = (groupId: string, change: PeerGroupItem): boolean => groupId !== "" && groupId === change.securityGroupId;

/** What of a rule is the same for as long as its ruleset's id is (D5): all but the sets of a group that it names. */
export function lasting(rule: Rule): unknown {
  const { direction, protocol, portFrom, portTo } = rule;
  const peer = "peerCidr" in rule ? rule.peerCidr : rule.peerGroupId === "" ? rule.peerGroupSets : { group: rule.peerGroupId };
  return [direction, protocol, portFrom, portTo, peer];
}

/** Whether two rulesets of one id mean the same sets. All else is the same: that is what the id says. */
export function samePeers(one: Ruleset, other: Ruleset): boolean {
  const sets = ({ rules }: Ruleset): string => rules.map((rule) => ("peerGroupSets" in rule ? rule.peerGroupSets.join(" ") : "")).join();
  return sets(one) === sets(other);
}
