/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_MTU_H
#define PLENUM_MTU_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include "decision.h"
#include "icmp.h"
#include "packet.h"
#include "parse.h"

#define TCP_CHECKSUM_AT 16
#define TCP_OPTIONS_AT 20
#define TCP_OPTIONS_MAX 40 /* bytes, and so options */
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2

/* The longest IP packet that leaves when this one is cut into segments. */
static __always_inline __u32 mtu_longest(struct __sk_buff *skb, const struct packet *pkt)
{
	__u32 gso_size = skb->gso_size;

	return gso_size ? (__u32)pkt->l3_len + pkt->l4_len + gso_size : pkt->ip_len;
}

/* A message is due for do-not-fragment packets, but never about a message or a later fragment (RFC 1122, 3.2.2). */
static __always_inline bool mtu_answer_due(const struct packet *pkt)
{
	return (pkt->flags & PACKET_DONT_FRAGMENT) && !(pkt->flags & (PACKET_LATER_FRAGMENT | PACKET_ICMP_ERROR));
}

/* The walk over a SYN's options. */
struct mss_search {
	struct __sk_buff *skb;
	__u32 tcp_at; /* offset of the TCP header in the frame */
	__u32 len;    /* of the TCP header */
	__u32 at;     /* offset of the option in the TCP header */
	__u32 mss;    /* 0: not found */
};

/* One option; 1 ends the walk. A callback, because the verifier follows a loop of 40 variable steps far too long. */
/* not measured: acts; mtu.kernel.test.ts reads the packet */
static long mtu_next_option(__u32 index, struct mss_search *s)
{
	__u8 option[4];

	(void)index;
	if (s->at + sizeof(option) > s->len || bpf_skb_load_bytes(s->skb, s->tcp_at + s->at, option, sizeof(option)))
		return 1;
	if (option[0] == TCP_OPTION_NOP) {
		s->at++;
		return 0;
	}
	if (option[0] == TCP_OPTION_END || option[1] < 2)
		return 1;
	if (option[0] == TCP_OPTION_MSS && option[1] == 4) {
		s->mss = (__u32)option[2] << 8 | option[3];
		return 1;
	}
	s->at += option[1];
	return 0;
}

/*
 * Lowers the MSS option of a TCP SYN to what fits (D12). `tcp_at` is the header's offset, `len` its length. Odd offsets occur
 * (a NOP before the option): there the two bytes belong to two checksum words, hence the swap. Global function: verified once.
 */
/* not measured: acts; mtu.kernel.test.ts reads the packet */
__noinline int mtu_clamp_mss(struct __sk_buff *skb, __u32 tcp_at, __u32 len, __u32 max_mss)
{
	struct mss_search search = { .skb = skb, .tcp_at = tcp_at, .len = len, .at = TCP_OPTIONS_AT };

	bpf_loop(TCP_OPTIONS_MAX, mtu_next_option, &search, 0);
	if (search.mss <= max_mss)
		return 0;

	__be16 from = bpf_htons(search.mss), to = bpf_htons(max_mss), written = to;

	if (search.at & 1) {
		from = __builtin_bswap16(from);
		to = __builtin_bswap16(to);
	}
	if (bpf_l4_csum_replace(skb, tcp_at + TCP_CHECKSUM_AT, from, to, 2))
		return -1;
	return bpf_skb_store_bytes(skb, tcp_at + search.at + 2, &written, sizeof(written), 0) ? -1 : 0;
}

static __always_inline __sum16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

#define QUOTED_MAX (60 + 8)

/*
 * Replaces the packet by an ICMP "fragmentation needed" to its sender that quotes the IP header and eight bytes (RFC 792), from the
 * address that was asked for. The result is shorter than any packet that was too big. Global function: verified once.
 */
/* not measured: acts; mtu.kernel.test.ts reads the packet */
__noinline int mtu_write_too_big(struct __sk_buff *skb, struct packet *pkt, __u32 mtu)
{
	struct {
		struct icmp_header icmp;
		__u8 quoted[QUOTED_MAX];
	} message = {};
	struct ethhdr eth;
	struct iphdr ip = {};

	if (!pkt)
		return -1;

	__u32 quoted = (__u32)pkt->l3_len + 8;

	if (quoted < 28 || quoted > QUOTED_MAX)
		return -1;
	if (bpf_skb_load_bytes(skb, ETH_HEADER, message.quoted, quoted))
		return -1;

	message.icmp.type = ICMP_DEST_UNREACH;
	message.icmp.code = ICMP_FRAGMENTATION_NEEDED;
	message.icmp.next_hop_mtu = bpf_htons(mtu);
	/* The unused end of the buffer is zero and does not change the sum. */
	message.icmp.checksum = checksum_fold(bpf_csum_diff(0, 0, (__be32 *)&message, sizeof(message), 0));

	ip.version = 4;
	ip.ihl = 5;
	ip.ttl = 64;
	ip.protocol = IPPROTO_ICMP;
	ip.tot_len = bpf_htons(sizeof(ip) + sizeof(struct icmp_header) + quoted);
	ip.saddr = pkt->dst.w[3];
	ip.daddr = pkt->src.w[3];
	ip.check = checksum_fold(bpf_csum_diff(0, 0, (__be32 *)&ip, sizeof(ip), 0));

	__builtin_memcpy(eth.h_dest, pkt->eth_src, 6);
	__builtin_memcpy(eth.h_source, pkt->eth_dst, 6);
	eth.h_proto = bpf_htons(ETH_P_IP);

	if (bpf_skb_change_tail(skb, ETH_HEADER + sizeof(ip) + sizeof(struct icmp_header) + quoted, 0))
		return -1;
	if (bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0) || bpf_skb_store_bytes(skb, ETH_HEADER, &ip, sizeof(ip), 0))
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HEADER + sizeof(ip), &message, sizeof(struct icmp_header) + quoted, 0) ? -1 : 0;
}

#endif
