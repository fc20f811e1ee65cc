/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLENUM_PACKET_H
#define PLENUM_PACKET_H

#include "addr.h"

#define ETH_HEADER 14

static __always_inline bool mac_equal(const __u8 a[6], const __u8 b[6])
{
	return a[5] == b[5] && a[4] == b[4] && a[3] == b[3] && a[2] == b[2] && a[1] == b[1] && a[0] == b[0];
}

enum packet_flag {
	PACKET_HAS_PORTS = 1,	   /* `port` holds the destination port or the ICMP type */
	PACKET_LATER_FRAGMENT = 2, /* no transport header in it */
	PACKET_DONT_FRAGMENT = 4,
	PACKET_TCP_SYN = 8,
	PACKET_ICMP_ERROR = 16, /* a message about another packet: never answered by one */
};

/* What the programs know of a packet after parsing it once. */
struct packet {
	__u8 eth_dst[6];
	__u8 eth_src[6];
	__be16 eth_proto;
	__u16 port; /* host byte order */
	struct addr src;
	struct addr dst;
	__u32 ip_len; /* IP header and payload, before segmentation */
	__u8 protocol;
	__u8 flags;
	__u8 l3_len;
	__u8 l4_len; /* 0 for protocols we know no header of, and for later fragments */
};

#endif
