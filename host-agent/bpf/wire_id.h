/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_WIRE_ID_H
#define PLENUM_WIRE_ID_H

#include "packet.h"

/*
 * Between hosts the inner Ethernet header carries ids instead of addresses (D2):
 * destination = 02, 32-bit wire id of the target attachment, 8 spare bits; source = 02, 32-bit group-set id of the sender, 8 spare.
 * 02 marks a locally administered unicast address, so that nothing underneath treats it as multicast.
 */
#define WIRE_MARK 0x02

static __always_inline void wire_mac(__u8 mac[6], __u32 id)
{
	mac[0] = WIRE_MARK;
	mac[1] = id >> 24;
	mac[2] = id >> 16;
	mac[3] = id >> 8;
	mac[4] = id;
	mac[5] = 0;
}

static __always_inline bool wire_mac_valid(const __u8 mac[6])
{
	return mac[0] == WIRE_MARK;
}

static __always_inline __u32 wire_mac_id(const __u8 mac[6])
{
	return (__u32)mac[1] << 24 | (__u32)mac[2] << 16 | (__u32)mac[3] << 8 | mac[4];
}

#endif
