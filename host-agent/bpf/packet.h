/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_PACKET_H
#define PLENUM_PACKET_H

#include "addr.h"
#include "rules.h"

#define ETH_HEADER 14

static __always_inline bool mac_equal(const __u8 a[6], const __u8 b[6])
{
	return a[5] == b[5] && a[4] == b[4] && a[3] == b[3] && a[2] == b[2] && a[1] == b[1] && a[0] == b[0];
}

enum packet_flag {
	PACKET_FIRST_FRAGMENT = 1, /* shows the ports of those that follow */
	PACKET_LATER_FRAGMENT = 2, /* no transport header in it */
	PACKET_DONT_FRAGMENT = 4,
	PACKET_TCP_SYN = 8,
	PACKET_ICMP_ERROR = 16, /* a message about another packet: never answered by one */
	PACKET_TCP_END = 32,	/* FIN or RST */
	PACKET_BEGINS = 64,	/* SYN without ACK, echo request: never an answer */
	PACKET_ANSWERS = 128,	/* echo reply: never anything else */
	PACKET_UNTRACKED = 256, /* ICMP that is neither echo nor error: has no connection */
	PACKET_ORPHAN = 512,	/* the ports it has are not known: a later fragment without its first */
};

/* What a later fragment has in common with its first, beside the ports. */
#define PACKET_FLOW_FLAGS (PACKET_BEGINS | PACKET_ANSWERS | PACKET_UNTRACKED)

/* Addresses, ports and protocol of a packet, or of the one quoted in an ICMP error. */
struct flow {
	struct addr src;
	struct addr dst;
	__u16 sport;
	__u16 dport;
	__u16 flags; /* of PACKET_FLOW_FLAGS */
	__u8 protocol;
	__u8 reserved;
};

/* What the programs know of a packet after parsing it once. */
struct packet {
	__u8 eth_dst[6];
	__u8 eth_src[6];
	__be16 eth_proto;
	__u16 port; /* that rules go by: destination port or ICMP type; 0 for protocols without. All ports in host byte order */
	struct addr src;
	struct addr dst;
	__u64 now;    /* nanoseconds, CLOCK_MONOTONIC */
	__u32 ip_len; /* IP header and payload, before segmentation */
	__u16 sport;  /* that connections go by: ports, or an echo's identifier at the side that asks; else 0 */
	__u16 dport;
	__u16 identification;
	__u16 flags; /* enum packet_flag */
	__u8 protocol;
	__u8 l3_len;
	__u8 l4_len; /* 0 for protocols we know no header of, and for later fragments */
	__u8 reserved;
	/* What is worked out about it; here because the stack has no room. */
	struct flow flow; /* whose connection is looked for: its own, or of the packet that it quotes */
	struct rule_query query;
};

#endif
