/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_DECIDE_TUNNEL_H
#define PLENUM_DECIDE_TUNNEL_H

#include "decide_delivery.h"
#include "fragment.h"
#include "mapping.h"
#include "parse.h"
#include "wire_id.h"

/* What the tunnel device knows of a packet; read from the skb, or injected by a test program (D23). */
struct tunnel_source {
	__u32 present; /* 0: the packet has no usable metadata */
	__u32 vni;
	struct addr sender;
};

/* An IPv4 packet from another host; d->vni and d->remote are set. Global function: verified once (D22). */
__noinline int decide_v4_from_tunnel(struct __sk_buff *skb, struct packet *pkt, struct decision *d)
{
	struct mapping from;

	if (!pkt || !d) /* uncovered: for the verifier; every caller passes them */
		return 0;
	if (parse_v4(skb, pkt))
		return decide_drop(d, 0, DROP_MALFORMED);
	if (!mapping_find(d->vni, &pkt->src, &from) || !addr_equal(&from.host, &d->remote))
		return decide_drop(d, 0, DROP_SENDER_NOT_OWNER);
	if (pkt->flags & PACKET_ORPHAN)
		fragment_adopt(pkt, d->vni);
	return decide_delivery_v4(skb, wire_mac_id(pkt->eth_dst), pkt, d);
}

/* IPv6 has its own function with the same arguments; it does not forward yet. */
__noinline int decide_v6_from_tunnel(struct __sk_buff *skb, struct packet *pkt, struct decision *d)
{
	if (!skb || !pkt || !d) /* uncovered: for the verifier; every caller passes them */
		return 0;
	return decide_drop(d, 0, DROP_IPV6_UNSUPPORTED);
}

static __always_inline void decide_from_tunnel(struct __sk_buff *skb, const struct tunnel_source *tunnel, struct packet *pkt,
					       struct decision *d)
{
	decide_drop(d, 0, DROP_NO_TUNNEL_KEY);
	if (!tunnel->present)
		return;
	d->vni = tunnel->vni;
	d->remote = tunnel->sender;
	if (!sender_allowed(tunnel->vni, &tunnel->sender)) {
		decide_drop(d, 0, DROP_UNKNOWN_SENDER_HOST);
		return;
	}
	if (skb->vlan_present) {
		decide_drop(d, 0, DROP_VLAN_TAG);
		return;
	}
	if (!parse_ethernet(skb, pkt)) { /* uncovered: BPF_PROG_TEST_RUN gives no frame without an Ethernet header */
		decide_drop(d, 0, DROP_MALFORMED);
		return;
	}
	if (!wire_mac_valid(pkt->eth_dst) || !wire_mac_valid(pkt->eth_src)) {
		decide_drop(d, 0, DROP_WIRE_HEADER);
		return;
	}

	/* The sender's groups travel with the packet, so that the receiver needs no mapping of the sender to judge them (D2). */
	d->group_set_id = wire_mac_id(pkt->eth_src);
	d->reason = DROP_NONE;
	switch (pkt->eth_proto) {
	case bpf_htons(ETH_P_IP):
		decide_v4_from_tunnel(skb, pkt, d);
		break;
	case bpf_htons(ETH_P_IPV6):
		decide_v6_from_tunnel(skb, pkt, d);
		break;
	default:
		decide_drop(d, 0, DROP_ETHERTYPE);
	}
}

#endif
