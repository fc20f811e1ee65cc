/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_DECIDE_INSTANCE_H
#define PLENUM_DECIDE_INSTANCE_H

#include "arp.h"
#include "decide_delivery.h"
#include "fragment.h"
#include "mapping.h"
#include "mtu.h"
#include "parse.h"
#include "wire_id.h"

static __always_inline bool v4_is_multicast(__be32 a)
{
	return (a & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || a == bpf_htonl(0xffffffff);
}

static __always_inline int decide_tunnel_to(struct decision *d, const struct mapping *to, const struct host_config *self)
{
	if (!addr_is_v4(&to->host))
		return decide_drop(d, d->wire_id, DROP_SUBSTRATE_UNSUPPORTED);
	d->verdict = VERDICT_TUNNEL;
	d->remote = to->host;
	d->ifindex = self->tunnel_ifindex;
	d->target_wire_id = to->wire_id;
	wire_mac(d->eth_dst, to->wire_id);
	wire_mac(d->eth_src, d->group_set_id);
	return 0;
}

/*
 * The sending half for an IPv4 packet. d->wire_id is set by the caller, who must decide the receiving half too where the verdict is to
 * deliver on this host: one call deeper the stack would not do. Global function: verified once (D22).
 */
__noinline int decide_v4_from_instance(struct __sk_buff *skb, struct endpoint *e, struct packet *pkt, struct decision *d)
{
	enum drop_reason reason;
	struct mapping to;
	__u32 zero = 0;
	bool known;

	if (!e || !pkt || !d) /* uncovered: for the verifier; every caller passes them */
		return 0;

	struct endpoint_config config = e->config;

	if (parse_v4(skb, pkt))
		return decide_drop(d, d->wire_id, DROP_MALFORMED);
	if (!endpoint_may_use(e, &config, &pkt->src))
		return decide_drop(d, d->wire_id, DROP_SOURCE_ADDRESS);
	if (!endpoint_still(e, d->wire_id)) /* uncovered: only while the element is given to another key at this moment (D5) */
		return decide_drop(d, 0, DROP_NOT_CONFIGURED);
	if ((pkt->eth_dst[0] & 1) || v4_is_multicast(pkt->dst.w[3]))
		return decide_drop(d, d->wire_id, DROP_MULTICAST);

	if (pkt->flags & PACKET_ORPHAN)
		fragment_adopt(pkt, config.vni);
	known = mapping_find(config.vni, &pkt->dst, &to);
	reason = decide_passage(skb, pkt, &d->egress, config.wire_id, DIRECTION_EGRESS, config.ruleset_id, known ? to.group_set_id : 0);
	if (reason)
		return decide_drop(d, d->wire_id, reason);

	d->mtu = config.guest_mtu;
	if (mtu_longest(skb, pkt) > config.guest_mtu) {
		if (!mtu_answer_due(pkt))
			return decide_drop(d, d->wire_id, DROP_TOO_BIG);
		d->verdict = VERDICT_TOO_BIG;
		d->reason = DROP_TOO_BIG_ANSWERED;
		d->ifindex = config.ifindex;
		return 0;
	}

	struct host_config *self = bpf_map_lookup_elem(&host, &zero);

	if (!self || !self->tunnel_ifindex) /* uncovered: the element is part of the map */
		return decide_drop(d, d->wire_id, DROP_HOST_NOT_CONFIGURED);
	if (!known)
		return decide_drop(d, d->wire_id, DROP_NO_MAPPING);

	d->vni = config.vni;
	d->egress_meter = config.meter_id;
	d->group_set_id = config.group_set_id;
	if (!addr_equal(&to.host, &self->address))
		return decide_tunnel_to(d, &to, self);
	d->verdict = VERDICT_DELIVER;
	d->target_wire_id = to.wire_id;
	return 0;
}

/* IPv6 has its own function with the same arguments; it does not forward yet. */
__noinline int decide_v6_from_instance(struct __sk_buff *skb, struct endpoint *e, struct packet *pkt, struct decision *d)
{
	if (!skb || !e || !pkt || !d) /* uncovered: for the verifier; every caller passes them */
		return 0;
	return decide_drop(d, d->wire_id, DROP_IPV6_UNSUPPORTED);
}

static __always_inline void decide_from_instance(struct __sk_buff *skb, struct packet *pkt, struct decision *d)
{
	__u32 ifindex = skb->ifindex;
	__u32 *port = bpf_map_lookup_elem(&ports, &ifindex);
	__u32 wire_id = port ? *port : 0;
	struct endpoint *e = port ? bpf_map_lookup_elem(&endpoints, &wire_id) : 0;

	decide_drop(d, 0, DROP_NOT_CONFIGURED);
	/* uncovered: only between the two writes of an agent that gives a device to another interface */
	if (!e || e->config.wire_id != wire_id || e->config.ifindex != ifindex)
		return;
	if (e->config.flags & ENDPOINT_DISABLED) {
		decide_drop(d, wire_id, DROP_INTERFACE_DISABLED);
		return;
	}
	if (skb->vlan_present) {
		decide_drop(d, wire_id, DROP_VLAN_TAG);
		return;
	}
	if (!parse_ethernet(skb, pkt)) { /* uncovered: BPF_PROG_TEST_RUN gives no frame without an Ethernet header */
		decide_drop(d, wire_id, DROP_MALFORMED);
		return;
	}
	if (!mac_equal(pkt->eth_src, e->config.guest_mac)) {
		decide_drop(d, wire_id, DROP_SOURCE_MAC);
		return;
	}

	d->wire_id = wire_id;
	d->reason = DROP_NONE;
	switch (pkt->eth_proto) {
	case bpf_htons(ETH_P_IP):
		decide_v4_from_instance(skb, e, pkt, d);
		if (d->verdict == VERDICT_DELIVER)
			decide_delivery_v4(skb, d->target_wire_id, pkt, d);
		break;
	case bpf_htons(ETH_P_IPV6):
		decide_v6_from_instance(skb, e, pkt, d);
		break;
	case bpf_htons(ETH_P_ARP):
		decide_arp(skb, e, d);
		break;
	default:
		decide_drop(d, wire_id, DROP_ETHERTYPE);
	}
}

#endif
