/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_ACT_H
#define PLENUM_ACT_H

#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include "act_connection.h"
#include "arp.h"
#include "decision.h"
#include "fragment.h"
#include "meter.h"
#include "mtu.h"

/* IPv4 header and TCP header without options: what the MSS does not count. */
#define MSS_HEADERS 40
#define TUNNEL_TTL 64

/* Counts for the host if the interface's counters are gone already: a drop is never uncounted (D19). Global function: verified once. */
/* not measured: acts; drops.kernel.test.ts counts */
__noinline int act_drop(__u32 wire_id, __u32 reason)
{
	__u32 nobody = 0;
	struct drop_counters *counters = bpf_map_lookup_elem(&drops, &wire_id);

	if (!counters)
		counters = bpf_map_lookup_elem(&drops, &nobody);
	if (counters && reason < DROP_SLOTS)
		counters->count[reason]++;
	return TC_ACT_SHOT;
}

static __always_inline int act_answer(const struct decision *d, bool written)
{
	return written ? bpf_redirect(d->ifindex, 0) : act_drop(d->wire_id, DROP_REWRITE_FAILED);
}

/* What stands behind the packet's end was not counted: padding, or what a guest would like to send for nothing. */
static __always_inline bool act_trim(struct __sk_buff *skb, const struct packet *pkt)
{
	__u32 len = ETH_HEADER + pkt->ip_len;

	return skb->len <= len || bpf_skb_change_tail(skb, len, 0) == 0;
}

static __always_inline bool act_rewrite(struct __sk_buff *skb, const struct packet *pkt, const struct decision *d)
{
	if ((pkt->flags & PACKET_TCP_SYN) && d->mtu &&
	    mtu_clamp_mss(skb, ETH_HEADER + pkt->l3_len, pkt->l4_len, d->mtu - MSS_HEADERS))
		return false;

	/* Destination and source stand side by side, in the packet as in the decision. */
	return bpf_skb_store_bytes(skb, 0, d->eth_dst, 12, 0) == 0;
}

static __always_inline bool act_set_tunnel(struct __sk_buff *skb, const struct decision *d, __be32 local)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = d->vni,
		.remote_ipv4 = bpf_ntohl(d->remote.w[3]),
		.local_ipv4 = bpf_ntohl(local),
		.tunnel_ttl = TUNNEL_TTL,
	};

	/* Do-not-fragment: without it the substrate cuts outer packets silently (D12). */
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT) == 0;
}

/* What counts a packet at the ends that are on this host; null where none is. */
struct act_meters {
	struct meter *egress;
	struct meter *ingress;
};

/* Nothing passes unmetered: else the packet is dropped for the interface that `refused` is set to. */
static __always_inline enum drop_reason act_find_meters(const struct decision *d, struct act_meters *meters, __u32 *refused)
{
	meters->egress = d->egress_meter ? meter_find(d->egress_meter, DIRECTION_EGRESS) : 0;
	meters->ingress = d->ingress_meter ? meter_find(d->ingress_meter, DIRECTION_INGRESS) : 0;
	*refused = d->wire_id;
	if (d->egress_meter && !meters->egress)
		return DROP_METER_MISSING;
	*refused = d->target_wire_id;
	return d->ingress_meter && !meters->ingress ? DROP_METER_MISSING : DROP_NONE;
}

static __always_inline void act_count(const struct act_meters *meters, __u64 bytes, __u32 raw)
{
	if (meters->egress)
		meter_add(meters->egress, bytes, raw);
	if (meters->ingress)
		meter_add(meters->ingress, bytes, raw);
}

/*
 * Remembers what the packet began or continued, at both ends that are on this host or at neither: then the packet is dropped for the
 * interface that `refused` is set to. What begins is written first: it is what can be refused, and can be taken back.
 */
static __always_inline enum drop_reason act_remember(const struct packet *pkt, struct decision *d, __u32 *refused)
{
	bool turned = d->ingress.op == CONNECTION_BEGIN && d->egress.op != CONNECTION_BEGIN;
	struct connection_effect *first = turned ? &d->ingress : &d->egress, *second = turned ? &d->egress : &d->ingress;
	enum drop_reason reason = act_connection(first, pkt->now);

	*refused = first->key.wire_id;
	if (reason)
		return reason;
	*refused = second->key.wire_id;
	reason = act_connection(second, pkt->now);
	if (reason && first->op == CONNECTION_BEGIN) { /* uncovered: only where the kernel has no memory for what is renewed */
		first->op = CONNECTION_DELETE;
		act_connection_dropped(first);
	}
	return reason;
}

/* Hands the packet over, and counts it for both ends that are on this host. */
static __always_inline int act_forward(struct __sk_buff *skb, struct packet *pkt, struct decision *d)
{
	__u64 bytes = meter_wire_bytes(skb, pkt);
	__u32 raw = skb->len, zero = 0, refused;
	struct act_meters meters;
	enum drop_reason reason = act_find_meters(d, &meters, &refused);

	if (reason)
		return act_drop(refused, reason);
	if (!act_trim(skb, pkt) || !act_rewrite(skb, pkt, d))
		return act_drop(d->wire_id, DROP_REWRITE_FAILED);
	if (d->verdict == VERDICT_TUNNEL) {
		struct host_config *self = bpf_map_lookup_elem(&host, &zero);

		if (!self || !act_set_tunnel(skb, d, self->address.w[3]))
			return act_drop(d->wire_id, DROP_REWRITE_FAILED);
	} else if (bpf_skb_change_type(skb, PACKET_HOST)) {
		return act_drop(d->wire_id, DROP_REWRITE_FAILED);
	}

	/* Last, so that nothing is written for a packet that is dropped. */
	reason = act_remember(pkt, d, &refused);
	if (reason)
		return act_drop(refused, reason);
	if (pkt->flags & PACKET_FIRST_FRAGMENT)
		fragment_leave(pkt, d->vni);
	act_count(&meters, bytes, raw);
	/* Into a veth's far end at once; into a tap redirect_peer would lose everything (D4). */
	if (d->verdict == VERDICT_DELIVER && d->device == DEVICE_VETH)
		return bpf_redirect_peer(d->ifindex, 0);
	return bpf_redirect(d->ifindex, 0);
}

/* Does what was decided (D23). */
static __always_inline int act(struct __sk_buff *skb, struct packet *pkt, struct decision *d)
{
	switch (d->verdict) {
	case VERDICT_TUNNEL:
	case VERDICT_DELIVER:
		return act_forward(skb, pkt, d);
	case VERDICT_ARP_REPLY:
		return act_answer(d, arp_write_reply(skb, d));
	case VERDICT_TOO_BIG:
		if (mtu_write_too_big(skb, pkt, d->mtu))
			return act_drop(d->wire_id, DROP_REWRITE_FAILED);
		act_drop(d->wire_id, d->reason);
		return bpf_redirect(d->ifindex, 0);
	default:
		act_connection_dropped(&d->egress);
		act_connection_dropped(&d->ingress);
		return act_drop(d->wire_id, d->reason);
	}
}

#endif
