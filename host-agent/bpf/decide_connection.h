/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_DECIDE_CONNECTION_H
#define PLENUM_DECIDE_CONNECTION_H

#include <linux/in.h>
#include <linux/ip.h>
#include "connection.h"
#include "connection_budget.h"
#include "icmp.h"
#include "parse.h"
#include "rules.h"

static __always_inline __u32 direction_other(__u32 direction)
{
	return direction == DIRECTION_EGRESS ? DIRECTION_INGRESS : DIRECTION_EGRESS;
}

static __always_inline enum drop_reason direction_denied(__u32 direction)
{
	return direction == DIRECTION_EGRESS ? DROP_RULE_EGRESS : DROP_RULE_INGRESS;
}

static __always_inline void connection_key_as_is(struct connection_key *key, __u32 direction, const struct flow *flow)
{
	key->direction = direction;
	key->protocol = flow->protocol;
	key->src = flow->src;
	key->dst = flow->dst;
	key->sport = flow->sport;
	key->dport = flow->dport;
}

static __always_inline void connection_key_turned(struct connection_key *key, __u32 direction, const struct flow *flow)
{
	key->direction = direction_other(direction);
	key->protocol = flow->protocol;
	key->src = flow->dst;
	key->dst = flow->src;
	key->sport = flow->dport;
	key->dport = flow->sport;
}

enum connection_hit {
	HIT_NONE = 0,
	HIT_FORWARD = 1,
	HIT_ANSWER = 2,
};

/*
 * The connection of a flow that goes in `direction`. `key` names its interface and is left as that of the hit, or on a miss as the
 * one that a new connection would have.
 */
static __always_inline enum connection_hit connection_of(const struct flow *flow, __u32 direction, __u64 now, struct connection_key *key,
							  struct connection_known *known)
{
	if (!(flow->flags & PACKET_ANSWERS)) {
		connection_key_as_is(key, direction, flow);
		if (connection_find(key, now, known))
			return HIT_FORWARD;
	}
	if (!(flow->flags & PACKET_BEGINS)) {
		connection_key_turned(key, direction, flow);
		if (connection_find(key, now, known))
			return HIT_ANSWER;
		connection_key_as_is(key, direction, flow);
	}
	return HIT_NONE;
}

/* The rules on a packet as it is. */
static __always_inline enum drop_reason judge_packet(struct packet *pkt, __u32 direction, const struct connection_effect *e)
{
	struct rule_query *query = &pkt->query;

	query->ruleset_id = e->ruleset_id;
	query->direction = direction;
	query->peer = direction == DIRECTION_INGRESS ? pkt->src : pkt->dst;
	query->peer_group_set = e->peer_group_set;
	query->port = pkt->port;
	query->protocol = pkt->protocol;
	query->orphan = pkt->flags & PACKET_ORPHAN ? 1 : 0;
	return rules_reason(rules_judge(query), direction_denied(direction));
}

/* The rules of today on what once began a connection, in its direction. */
static __always_inline enum drop_reason judge_again(struct packet *pkt, const struct connection_key *key, __u32 ruleset_id,
						    __u32 peer_group_set)
{
	struct rule_query *query = &pkt->query;

	query->ruleset_id = ruleset_id;
	query->direction = key->direction;
	query->peer = key->direction == DIRECTION_INGRESS ? key->src : key->dst;
	query->peer_group_set = peer_group_set;
	query->port = key->protocol == IPPROTO_ICMP ? ICMP_ECHO_REQUEST : key->dport;
	query->protocol = key->protocol;
	query->orphan = 0;
	return rules_reason(rules_judge(query), direction_denied(key->direction));
}

static __always_inline enum drop_reason judge_hit(struct packet *pkt, enum connection_hit hit, const struct connection_known *known,
						  struct connection_effect *e)
{
	enum drop_reason reason;

	e->flags = known->flags;
	if (hit == HIT_ANSWER)
		e->flags |= CONNECTION_ANSWERED;
	if (pkt->flags & PACKET_TCP_END)
		e->flags |= CONNECTION_CLOSING;
	/* The same ports again, after the end; what follows of that packet in fragments does not begin it once more. */
	else if ((pkt->flags & (PACKET_BEGINS | PACKET_LATER_FRAGMENT)) == PACKET_BEGINS && (known->flags & CONNECTION_CLOSING))
		e->flags = 0;

	if (known->ruleset_id == e->ruleset_id && known->peer_group_set == e->peer_group_set) {
		/* Not at every packet: a fast flow would drag the entry from processor to processor. */
		bool due = connection_age(known->last_seen, pkt->now) > connection_idle(e->key.protocol, known->flags) / 16;

		e->op = due || e->flags != known->flags ? CONNECTION_TOUCH : CONNECTION_NONE;
		return DROP_NONE;
	}

	reason = judge_again(pkt, &e->key, e->ruleset_id, e->peer_group_set);
	if (reason == DROP_NONE)
		e->op = CONNECTION_RENEW;
	else if (reason != DROP_RULESET_MISSING)
		e->op = CONNECTION_DELETE;
	return reason;
}

/*
 * Whether a packet may pass the interface. The caller has named in `e` the interface and the direction (in the key), the ruleset, and the
 * peer's group set. Global function: verified once.
 */
__noinline int decide_connection(struct packet *pkt, struct connection_effect *e)
{
	struct connection_known known;
	enum drop_reason reason;

	if (!pkt || !e) /* uncovered: for the verifier; every caller passes them */
		return DROP_RULESET_MISSING;

	__u32 direction = e->key.direction;
	bool tracked = !(pkt->flags & (PACKET_ORPHAN | PACKET_UNTRACKED));

	if (tracked) {
		struct flow *flow = &pkt->flow;

		flow->src = pkt->src;
		flow->dst = pkt->dst;
		flow->sport = pkt->sport;
		flow->dport = pkt->dport;
		flow->flags = pkt->flags & PACKET_FLOW_FLAGS;
		flow->protocol = pkt->protocol;

		struct connection_key key = { .wire_id = e->key.wire_id };
		enum connection_hit hit = connection_of(flow, direction, pkt->now, &key, &known);

		e->key = key;
		if (hit != HIT_NONE)
			return judge_hit(pkt, hit, &known, e);
	}

	reason = judge_packet(pkt, direction, e);
	if (reason || !tracked || (pkt->flags & PACKET_ANSWERS))
		return reason;
	reason = budget_ask(e->key.wire_id);
	if (reason)
		return reason;
	e->flags = pkt->flags & PACKET_TCP_END ? CONNECTION_CLOSING : 0;
	e->op = CONNECTION_BEGIN;
	return DROP_NONE;
}

/*
 * Reads the packet that an ICMP error quotes, from `at` up to `end` (what follows is padding); false where it names no connection: its IP
 * header must be whole. RFC 792 promises eight bytes of its transport.
 */
static __always_inline bool parse_quoted(struct __sk_buff *skb, __u32 at, __u32 end, struct flow *flow)
{
	struct iphdr ip;
	union {
		__be16 ports[4];
		struct icmp_header icmp;
	} l4;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return false;
	at += ip.ihl * 4;
	if (at > end)
		return false;
	flow->protocol = ip.protocol;
	addr_from_v4(&flow->src, ip.saddr);
	addr_from_v4(&flow->dst, ip.daddr);
	if (!protocol_has_ports(ip.protocol))
		return true;
	if ((ip.frag_off & bpf_htons(IP_OFFSET_MASK)) || at + sizeof(l4) > end || bpf_skb_load_bytes(skb, at, &l4, sizeof(l4))) /* uncovered: what is before the end is there */
		return false;
	if (ip.protocol != IPPROTO_ICMP) {
		flow->sport = bpf_ntohs(l4.ports[0]);
		flow->dport = bpf_ntohs(l4.ports[1]);
		return true;
	}
	if (l4.icmp.type == ICMP_ECHO_REQUEST) {
		flow->flags = PACKET_BEGINS;
		flow->sport = bpf_ntohs(l4.icmp.identifier);
		return true;
	}
	flow->flags = PACKET_ANSWERS;
	flow->dport = bpf_ntohs(l4.icmp.identifier);
	return l4.icmp.type == ICMP_ECHO_REPLY;
}

/*
 * The same for an ICMP error, which belongs to the connection of the packet it quotes. That one went the other way. Writes nothing; the
 * error may come from a router on the way, so the entry's own group set counts. Global function: verified once.
 */
__noinline int decide_icmp_error(struct __sk_buff *skb, struct packet *pkt, struct connection_effect *e)
{
	struct connection_known known;

	if (!pkt || !e) /* uncovered: for the verifier; every caller passes them */
		return DROP_RULESET_MISSING;

	struct connection_key key = { .wire_id = e->key.wire_id };
	__u32 direction = e->key.direction;

	if (!parse_quoted(skb, ETH_HEADER + pkt->l3_len + sizeof(struct icmp_header), ETH_HEADER + pkt->ip_len, &pkt->flow) ||
	    !connection_of(&pkt->flow, direction_other(direction), pkt->now, &key, &known))
		return judge_packet(pkt, direction, e);
	return known.ruleset_id == e->ruleset_id ? DROP_NONE : judge_again(pkt, &key, e->ruleset_id, known.peer_group_set);
}

/* Whether a packet may pass an interface in a direction, and what is to be remembered of it. */
static __always_inline enum drop_reason decide_passage(struct __sk_buff *skb, struct packet *pkt, struct connection_effect *e,
							__u32 wire_id, __u32 direction, __u32 ruleset_id, __u32 peer_group_set)
{
	e->key.wire_id = wire_id;
	e->key.direction = direction;
	e->ruleset_id = ruleset_id;
	e->peer_group_set = peer_group_set;
	return pkt->flags & PACKET_ICMP_ERROR ? decide_icmp_error(skb, pkt, e) : decide_connection(pkt, e);
}

#endif
