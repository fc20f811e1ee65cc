/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_ARP_H
#define PLENUM_ARP_H

#include <linux/if_ether.h>
#include "decision.h"
#include "endpoint.h"
#include "packet.h"

#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2

/* ARP over Ethernet for IPv4, the only kind answered. */
struct arp_frame {
	struct ethhdr eth;
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

/*
 * Every question is answered with the virtual router's MAC (D11), so that all traffic of a guest goes through this program; except
 * for the guest's own addresses and for duplicate-address probes, which must stay unanswered or the guest gives its address up.
 */
__noinline int decide_arp(struct __sk_buff *skb, struct endpoint *e, struct decision *d)
{
	struct arp_frame arp;
	struct addr sender, target;

	if (!e || !d) /* uncovered: for the verifier; every caller passes them */
		return 0;
	if (bpf_skb_load_bytes(skb, 0, &arp, sizeof(arp)))
		return decide_drop(d, d->wire_id, DROP_MALFORMED);
	if (arp.hardware != bpf_htons(ARP_HARDWARE_ETHERNET) || arp.protocol != bpf_htons(ETH_P_IP) || arp.hardware_len != 6 ||
	    arp.protocol_len != 4)
		return decide_drop(d, d->wire_id, DROP_MALFORMED);

	struct endpoint_config config = e->config;

	addr_from_v4(&sender, arp.sender);
	addr_from_v4(&target, arp.target);
	if (!mac_equal(arp.sender_mac, config.guest_mac))
		return decide_drop(d, d->wire_id, DROP_ARP_SPOOFED);
	if (arp.sender != 0 && !endpoint_may_use(e, &config, &sender))
		return decide_drop(d, d->wire_id, DROP_ARP_SPOOFED);
	if (arp.operation != bpf_htons(ARP_REQUEST) || arp.sender == 0 || endpoint_owns(e, &target))
		return decide_drop(d, d->wire_id, DROP_ARP_UNANSWERED);

	d->verdict = VERDICT_ARP_REPLY;
	d->ifindex = config.ifindex;
	__builtin_memcpy(d->eth_dst, config.guest_mac, 6);
	__builtin_memcpy(d->eth_src, config.gateway_mac, 6);
	if (!endpoint_still(e, d->wire_id)) /* uncovered: only while the element is given to another key at this moment (D5) */
		return decide_drop(d, 0, DROP_NOT_CONFIGURED);
	return 0;
}

/* Turns the question into its answer. */
static __always_inline bool arp_write_reply(struct __sk_buff *skb, const struct decision *d)
{
	struct arp_frame arp;

	if (bpf_skb_load_bytes(skb, 0, &arp, sizeof(arp)))
		return false;

	__be32 asked = arp.target;

	__builtin_memcpy(arp.eth.h_dest, d->eth_dst, 6);
	__builtin_memcpy(arp.eth.h_source, d->eth_src, 6);
	arp.operation = bpf_htons(ARP_REPLY);
	arp.target = arp.sender;
	arp.sender = asked;
	__builtin_memcpy(arp.target_mac, d->eth_dst, 6);
	__builtin_memcpy(arp.sender_mac, d->eth_src, 6);
	return bpf_skb_store_bytes(skb, 0, &arp, sizeof(arp), 0) == 0;
}

#endif
