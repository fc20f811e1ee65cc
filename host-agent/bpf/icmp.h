/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_ICMP_H
#define PLENUM_ICMP_H

#include <linux/types.h>
#include <stdbool.h>

/* linux/icmp.h and linux/if_arp.h drag in the C library's headers, which know no BPF target; what is needed is little. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 identifier; /* of an echo; unused in errors */
	__be16 next_hop_mtu;
};

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8
#define ICMP_DEST_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ICMP_FRAGMENTATION_NEEDED 4 /* code of ICMP_DEST_UNREACH */

static __always_inline bool icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETER_PROBLEM;
}

#endif
