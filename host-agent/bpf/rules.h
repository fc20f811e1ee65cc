/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENUM_RULES_H
#define PLENUM_RULES_H

#include "maps.h"
#include "packet.h"

enum rules_answer {
	RULES_ALLOW = 0,
	RULES_DENY = 1,
	RULES_FRAGMENT = 2, /* denied, but a rule might match if the packet showed its port */
	RULES_MISSING = 3,
};

static __always_inline bool rule_matches_v4(const struct rule *r, __be32 peer, __u8 protocol)
{
	return r->family == 4 && (peer & r->mask.w[3]) == r->network.w[3] && (r->protocol == 0 || r->protocol == protocol);
}

static __always_inline enum rules_answer rule_ports(const struct rule *r, const struct packet *pkt)
{
	bool all = r->protocol == 0 || (r->port_from == 0 && r->port_to == 0xffff);

	if (all)
		return RULES_ALLOW;
	if (pkt->flags & PACKET_LATER_FRAGMENT)
		return RULES_FRAGMENT;
	if (!(pkt->flags & PACKET_HAS_PORTS))
		return RULES_ALLOW;
	return pkt->port >= r->port_from && pkt->port <= r->port_to ? RULES_ALLOW : RULES_DENY;
}

/*
 * Stateless allow rules, default deny. Read in place (a set does not fit on the stack) and believed only if the element still
 * carries its id afterwards; ids are never given twice (D5). Global function: verified once.
 */
__noinline int rules_judge_v4(__u32 ruleset_id, __u32 direction, struct packet *pkt)
{
	struct ruleset *set = bpf_map_lookup_elem(&rulesets, &ruleset_id);
	enum rules_answer answer = RULES_DENY;

	if (!set || !pkt)
		return RULES_MISSING;

	bool ingress = direction == DIRECTION_INGRESS;
	__be32 peer = ingress ? pkt->src.w[3] : pkt->dst.w[3];
	__u32 count = ingress ? set->ingress_count : set->egress_count;
	const struct rule *rules = ingress ? set->ingress : set->egress;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < RULES_PER_DIRECTION; i++) {
		if (i >= count)
			break;
		if (!rule_matches_v4(&rules[i], peer, pkt->protocol))
			continue;

		enum rules_answer one = rule_ports(&rules[i], pkt);

		if (one == RULES_ALLOW) {
			answer = RULES_ALLOW;
			break;
		}
		if (one == RULES_FRAGMENT)
			answer = RULES_FRAGMENT;
	}
	barrier();
	return *(volatile __u32 *)&set->id == ruleset_id ? answer : RULES_MISSING;
}

static __always_inline enum drop_reason rules_reason(int answer, enum drop_reason denied)
{
	switch (answer) {
	case RULES_ALLOW:
		return DROP_NONE;
	case RULES_FRAGMENT:
		return DROP_FRAGMENT;
	case RULES_MISSING:
		return DROP_RULESET_MISSING;
	default:
		return denied;
	}
}

#endif
