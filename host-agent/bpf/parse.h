/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_PARSE_H
#define PLENUM_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include "icmp.h"
#include "packet.h"

/* Ethernet + longest IPv4 header + the TCP header without its options. */
#define HEADERS_MAX (ETH_HEADER + 60 + 20)

#define IP_FLAG_DF 0x4000
#define IP_FLAG_MF 0x2000
#define IP_OFFSET_MASK 0x1fff

/*
 * Reads the Ethernet header; afterwards every header that the packet has is in linear memory, so "past data_end" means "not in the
 * packet" (D4: a header may sit in a page fragment, which is not the same as being short).
 */
static __always_inline bool parse_ethernet(struct __sk_buff *skb, struct packet *pkt)
{
	__u32 want = skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX;

	/* uncovered: BPF_PROG_TEST_RUN gives linear frames only; the super-packets of metering.kernel.test.ts are not */
	if ((__u32)(skb->data_end - skb->data) < want && bpf_skb_pull_data(skb, want))
		return false;

	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end) /* uncovered: BPF_PROG_TEST_RUN gives no frame without an Ethernet header */
		return false;
	__builtin_memcpy(pkt->eth_dst, eth->h_dest, 6);
	__builtin_memcpy(pkt->eth_src, eth->h_source, 6);
	pkt->eth_proto = eth->h_proto;
	return true;
}

/* The protocols whose ports are read, and so can be asked for by a rule. core/rule-index.ts has the same list. */
static __always_inline bool protocol_has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_SCTP;
}

/* An echo's identifier stands at the side that asks, so that a reply turned round has the ports of its request. */
static __always_inline void parse_icmp(struct packet *pkt, const struct icmp_header *icmp)
{
	pkt->port = icmp->type;
	if (icmp_is_error(icmp->type)) {
		pkt->flags |= PACKET_ICMP_ERROR;
	} else if (icmp->type == ICMP_ECHO_REQUEST) {
		pkt->flags |= PACKET_BEGINS;
		pkt->sport = bpf_ntohs(icmp->identifier);
	} else if (icmp->type == ICMP_ECHO_REPLY) {
		pkt->flags |= PACKET_ANSWERS;
		pkt->dport = bpf_ntohs(icmp->identifier);
	} else {
		pkt->flags |= PACKET_UNTRACKED;
	}
}

/* Fills the transport part; false where the header is short. A protocol without ports is fine. */
static __always_inline bool parse_transport(struct packet *pkt, void *l4, void *end)
{
	switch (pkt->protocol) {
	case IPPROTO_TCP: {
		struct tcphdr *tcp = l4;

		if ((void *)(tcp + 1) > end || tcp->doff < 5)
			return false;
		pkt->sport = bpf_ntohs(tcp->source);
		pkt->port = pkt->dport = bpf_ntohs(tcp->dest);
		pkt->l4_len = tcp->doff * 4;
		if (tcp->syn)
			pkt->flags |= tcp->ack ? PACKET_TCP_SYN : PACKET_TCP_SYN | PACKET_BEGINS;
		if (tcp->fin || tcp->rst)
			pkt->flags |= PACKET_TCP_END;
		return true;
	}
	case IPPROTO_ICMP: {
		struct icmp_header *icmp = l4;

		if ((void *)(icmp + 1) > end)
			return false;
		parse_icmp(pkt, icmp);
		pkt->l4_len = sizeof(*icmp);
		return true;
	}
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_DCCP:
	case IPPROTO_SCTP: {
		/* All four begin with source port, destination port, and have at least eight bytes. */
		__be16 *ports_at = l4;

		if ((void *)(ports_at + 4) > end)
			return false;
		pkt->sport = bpf_ntohs(ports_at[0]);
		pkt->port = pkt->dport = bpf_ntohs(ports_at[1]);
		pkt->l4_len = 8;
		return true;
	}
	default:
		return true;
	}
}

/* A global function: verified once, for all callers (D22). 0, or -1 where the packet is malformed. */
__noinline int parse_v4(struct __sk_buff *skb, struct packet *pkt)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HEADER;

	/* uncovered: the packet is always passed, and BPF_PROG_TEST_RUN gives no IPv4 frame without an IP header */
	if (!pkt || (void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return -1;

	__u32 l3_len = ip->ihl * 4;
	__u32 in_frame = skb->len - ETH_HEADER;
	__u32 total = bpf_ntohs(ip->tot_len);

	/* A segmentation-offload packet may be longer than the 16 bits can say; any other says its length, a frame may be padded. */
	if (skb->gso_size)
		total = in_frame;
	if (total < l3_len || total > in_frame)
		return -1;

	__u16 fragment = bpf_ntohs(ip->frag_off);

	pkt->protocol = ip->protocol;
	pkt->l3_len = l3_len;
	pkt->ip_len = total;
	pkt->identification = bpf_ntohs(ip->id);
	addr_from_v4(&pkt->src, ip->saddr);
	addr_from_v4(&pkt->dst, ip->daddr);
	if (fragment & IP_FLAG_DF)
		pkt->flags |= PACKET_DONT_FRAGMENT;
	if (fragment & IP_OFFSET_MASK) {
		pkt->flags |= protocol_has_ports(ip->protocol) ? PACKET_LATER_FRAGMENT | PACKET_ORPHAN : PACKET_LATER_FRAGMENT;
		return 0;
	}
	if (fragment & IP_FLAG_MF)
		pkt->flags |= PACKET_FIRST_FRAGMENT;
	if (!parse_transport(pkt, (void *)ip + l3_len, end))
		return -1;
	return l3_len + pkt->l4_len > total ? -1 : 0;
}

#endif
