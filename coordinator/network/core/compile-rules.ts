import type { HostRule } from "#gen/plenum/host/v1/host_feed.ts";
import type { Rule, RuleProtocol } from "./model.ts";

/** IANA protocol numbers. */
const PROTOCOL_NUMBER: Readonly<Record<RuleProtocol, number>> = { any: 0, icmp: 1, tcp: 6, udp: 17 };
const ALL_PORTS = { portFrom: 0, portTo: 65_535 };

const hostRule = (rule: Rule): HostRule => ({
  egress: rule.direction === "egress",
  protocol: PROTOCOL_NUMBER[rule.protocol],
  ...(rule.portFrom === 0 && rule.portTo === 0 ? ALL_PORTS : { portFrom: rule.portFrom, portTo: rule.portTo }),
  peerCidr: rule.cidr,
  peerIsGroup: false,
  peerGroupSetIds: [],
});

const key = (rule: HostRule): string => `${rule.egress ? "e" : "i"} ${rule.protocol} ${rule.portFrom} ${rule.portTo} ${rule.peerCidr}`;

/** The rules of all groups of a set as a host judges by them: without descriptions and repeats, in an order of their own. */
export function compileRules(groups: readonly { readonly rules: readonly Rule[] }[]): HostRule[] {
  const byKey = new Map(groups.flatMap((group) => group.rules.map(hostRule)).map((rule) => [key(rule), rule]));
  return [...byKey.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule);
}
