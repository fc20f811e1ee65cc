/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_DECISION_H
#define PLENUM_DECISION_H

#include "connection.h"
#include "maps.h"

enum verdict {
	VERDICT_DROP = 0, /* the value of an empty decision: what nobody decided is dropped */
	VERDICT_TUNNEL = 1,
	VERDICT_DELIVER = 2,
	VERDICT_ARP_REPLY = 3,
	VERDICT_TOO_BIG = 4, /* a drop, with a message to the guest */
};

/*
 * What is to happen to a packet (D23). The deciding part fills it and changes nothing; act.h does it. The same deciding part runs
 * under the test programs, which hand the decision to the reference model's comparison.
 */
struct decision {
	enum verdict verdict;
	enum drop_reason reason;
	__u32 wire_id; /* interface that a drop counts for; 0: the host */
	__u32 vni;
	__u64 egress_meter;  /* 0: none */
	__u64 ingress_meter; /* 0: none */
	struct addr remote;  /* outer address: target host, or for a packet from the tunnel the sending host */
	__u32 ifindex;	     /* device to hand it to */
	enum device_kind device; /* of ifindex, when delivering */
	__u32 target_wire_id;
	__u32 group_set_id; /* the sender's */
	__u32 mtu;	    /* of the sending guest; 0: not checked here */
	__u8 eth_dst[6];
	__u8 eth_src[6];
	struct connection_effect egress;  /* on the connections of the sending interface */
	struct connection_effect ingress; /* of the receiving one */
};

static __always_inline int decide_drop(struct decision *d, __u32 wire_id, enum drop_reason reason)
{
	d->verdict = VERDICT_DROP;
	d->reason = reason;
	d->wire_id = wire_id;
	return 0;
}

#endif
