/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_DECIDE_DELIVERY_H
#define PLENUM_DECIDE_DELIVERY_H

#include "decide_connection.h"
#include "decision.h"
#include "endpoint.h"
#include "packet.h"

/*
 * The receiving half, the same for a packet from the tunnel and from a guest of this host. Until the target is known to be of the
 * packet's network, a drop counts for d->wire_id as the caller set it: one tenant's mistake must not show in another's counters.
 * d->group_set_id is the sender's. Global function: verified once.
 */
__noinline int decide_delivery_v4(struct __sk_buff *skb, __u32 wire_id, struct packet *pkt, struct decision *d)
{
	struct endpoint *e = bpf_map_lookup_elem(&endpoints, &wire_id);
	enum drop_reason reason;

	if (!pkt || !d) /* uncovered: for the verifier; every caller passes them */
		return 0;
	if (!e)
		return decide_drop(d, d->wire_id, DROP_TARGET_CLOSED);

	struct endpoint_config config = e->config;

	if (config.wire_id != wire_id) /* uncovered: only while the element is given to another key at this moment (D5) */
		return decide_drop(d, d->wire_id, DROP_TARGET_CLOSED);
	if (config.vni != d->vni)
		return decide_drop(d, d->wire_id, DROP_TARGET_NETWORK);
	if (config.flags & ENDPOINT_DISABLED)
		return decide_drop(d, wire_id, DROP_INTERFACE_DISABLED);
	if (!endpoint_may_use(e, &config, &pkt->dst))
		return decide_drop(d, wire_id, DROP_TARGET_ADDRESS);
	if (!endpoint_still(e, wire_id)) /* uncovered: only while the element is given to another key at this moment (D5) */
		return decide_drop(d, d->wire_id, DROP_TARGET_CLOSED);

	reason = decide_passage(skb, pkt, &d->ingress, wire_id, DIRECTION_INGRESS, config.ruleset_id, d->group_set_id);
	if (reason)
		return decide_drop(d, wire_id, reason);

	d->verdict = VERDICT_DELIVER;
	d->ifindex = config.ifindex;
	d->device = config.device;
	d->target_wire_id = wire_id;
	d->ingress_meter = config.meter_id;
	__builtin_memcpy(d->eth_dst, config.guest_mac, 6);
	__builtin_memcpy(d->eth_src, config.gateway_mac, 6);
	return 0;
}

#endif
