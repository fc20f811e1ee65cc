/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_RULES_H
#define PLENUM_RULES_H

#include "addr.h"
#include "drop_reasons.h"

/*
 * A ruleset taken apart so that its size does not show in the cost (docs/adr/0005): each rule of a direction has a bit, and three
 * lookups give the bits whose peer address, whose protocol and port, and whose peer group fit. Longest prefix: an element holds the bits
 * of the shorter prefixes around it too. All elements are written before the ruleset's own; only group sets' come and go later.
 */

#define RULES_PER_DIRECTION 256

struct rule_bits {
	__u64 w[RULES_PER_DIRECTION / 64];
};

struct ruleset {
	__u32 id;
	__u32 reserved;
	__u64 digest; /* of its rules and elements, but for group sets': the agent's way to see that rules under one id are the same */
};

struct rule_peer_key {
	__u32 prefixlen; /* in bits, of all that follows */
	__u32 ruleset_id;
	__u8 direction;
	__u8 family; /* 4 or 6: an IPv6 prefix never covers the mapped form of an IPv4 address */
	__u16 reserved;
	struct addr peer;
};

struct rule_peer {
	__u32 ruleset_id;
	__u32 direction;
	struct rule_bits bits;
};

enum rule_ports_table {
	RULE_PORTS = 0,
	RULE_PORTS_ANY = 16, /* bits of rules for any port at all of a protocol: what a packet without ports might match */
};

#define RULE_PORTS_PROTOCOL_LEN 48
#define RULE_PORTS_WHOLE_LEN 64

struct rule_ports_key {
	__u32 prefixlen;
	__u32 ruleset_id;
	__u8 table; /* enum rule_ports_table | direction */
	__u8 protocol;
	__be16 port;
};

struct rule_ports {
	__u32 ruleset_id;
	enum rule_ports_table table;
	__u32 direction;
	__u32 reserved;
	struct rule_bits bits;
};

struct rule_group_key {
	__u32 ruleset_id;
	__u32 direction;
	__u32 group_set_id;
};

struct rule_group {
	struct rule_group_key key;
	__u32 reserved;
	struct rule_bits bits;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct ruleset);
} rulesets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct rule_peer_key);
	__type(value, struct rule_peer);
} rule_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct rule_ports_key);
	__type(value, struct rule_ports);
} rule_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct rule_group_key);
	__type(value, struct rule_group);
} rule_groups SEC(".maps");

enum rules_answer {
	RULES_ALLOW = 0,
	RULES_DENY = 1,
	RULES_FRAGMENT = 2, /* denied, but a rule might match if the packet showed its port */
	RULES_MISSING = 3,
};

/* What is asked of a ruleset. */
struct rule_query {
	__u32 ruleset_id;
	__u32 direction;
	struct addr peer;
	__u32 peer_group_set; /* 0: none, matched by no rule */
	__u16 port;
	__u8 protocol;
	__u8 orphan; /* the protocol has ports, this packet does not show them */
};

static __always_inline struct rule_peer *rules_of_peer(const struct rule_query *q)
{
	struct rule_peer_key key = {
		.prefixlen = (sizeof(key) - sizeof(key.prefixlen)) * 8,
		.ruleset_id = q->ruleset_id,
		.direction = q->direction,
		.family = addr_is_v4(&q->peer) ? 4 : 6, /* uncovered: IPv6 is not forwarded yet */
		.peer = q->peer,
	};

	return bpf_map_lookup_elem(&rule_peers, &key);
}

static __always_inline struct rule_group *rules_of_group(const struct rule_query *q)
{
	struct rule_group_key key = { .ruleset_id = q->ruleset_id, .direction = q->direction, .group_set_id = q->peer_group_set };

	return q->peer_group_set ? bpf_map_lookup_elem(&rule_groups, &key) : 0;
}

static __always_inline struct rule_ports *rules_of_ports(const struct rule_query *q, __u32 table, __u32 prefixlen)
{
	struct rule_ports_key key = {
		.prefixlen = prefixlen,
		.ruleset_id = q->ruleset_id,
		.table = table | q->direction,
		.protocol = q->protocol,
		.port = bpf_htons(q->port),
	};

	return bpf_map_lookup_elem(&rule_ports, &key);
}

/* Whether a rule fits peer and ports. Read in place, and believed only if the elements are still the ruleset's afterwards (D5). */
static __always_inline bool rules_meet(__u32 ruleset_id, const struct rule_peer *peer, const struct rule_group *group,
				       const struct rule_ports *ports)
{
	__u64 both = 0;

	if (!ports)
		return false;
	for (__u32 i = 0; i < RULES_PER_DIRECTION / 64; i++) {
		__u64 who = (peer ? peer->bits.w[i] : 0) | (group ? group->bits.w[i] : 0);

		both |= who & ports->bits.w[i];
	}
	barrier();
	/* uncovered: only while the element is given to another key at this moment (D5) */
	return both && *(volatile __u32 *)&ports->ruleset_id == ruleset_id &&
	       (!peer || *(volatile __u32 *)&peer->ruleset_id == ruleset_id) &&
	       (!group || *(volatile __u32 *)&group->key.ruleset_id == ruleset_id);
}

/* Allow rules, default deny. Ids are never given twice (D5). Global function: verified once. */
__noinline int rules_judge(struct rule_query *q)
{
	if (!q) /* uncovered: for the verifier; every caller passes one */
		return RULES_MISSING;

	__u32 id = q->ruleset_id;
	struct ruleset *set = bpf_map_lookup_elem(&rulesets, &id);

	if (!set || set->id != id) /* uncovered: only while the element is given to another key at this moment (D5) */
		return RULES_MISSING;

	struct rule_peer *peer = rules_of_peer(q);
	struct rule_group *group = rules_of_group(q);

	if (!peer && !group)
		return RULES_DENY;
	if (!q->orphan)
		return rules_meet(id, peer, group, rules_of_ports(q, RULE_PORTS, RULE_PORTS_WHOLE_LEN)) ? RULES_ALLOW : RULES_DENY;
	if (rules_meet(id, peer, group, rules_of_ports(q, RULE_PORTS, RULE_PORTS_PROTOCOL_LEN)))
		return RULES_ALLOW;
	return rules_meet(id, peer, group, rules_of_ports(q, RULE_PORTS_ANY, RULE_PORTS_PROTOCOL_LEN)) ? RULES_FRAGMENT : RULES_DENY;
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
