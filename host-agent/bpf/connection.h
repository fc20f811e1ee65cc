/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_CONNECTION_H
#define PLENUM_CONNECTION_H

#include <linux/in.h>
#include "maps.h"
#include "packet.h"

/* What an interface has been allowed to begin (docs/design/connections.md, D6). */

enum connection_flag {
	CONNECTION_ANSWERED = 1, /* a packet came the other way */
	CONNECTION_CLOSING = 2,	 /* FIN or RST seen */
};

/* In the orientation of the packet that began it. Ports in host byte order. */
struct connection_key {
	__u32 wire_id; /* of the interface that judges */
	__u8 direction;
	__u8 protocol;
	__u16 reserved;
	struct addr src;
	struct addr dst;
	__u16 sport;
	__u16 dport;
};

/* The part that a program may write. */
struct connection_state {
	struct connection_key key;
	__u32 ruleset_id; /* under which it was allowed, */
	__u32 peer_group_set; /* and for whom */
	enum connection_flag flags;
	__u64 last_seen;
};

struct connection {
	struct connection_state state;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct connection_key);
	__type(value, struct connection);
} connections SEC(".maps");

enum connection_op {
	CONNECTION_NONE = 0,
	CONNECTION_TOUCH = 1, /* seen, or seen to be more than it was */
	CONNECTION_BEGIN = 2,
	CONNECTION_RENEW = 3, /* allowed again, under other ids */
	CONNECTION_DELETE = 4, /* no longer allowed: the one thing that is done for a packet that is dropped */
};

/* What is to be written about a connection when the packet is handed over. */
struct connection_effect {
	struct connection_key key;
	__u32 ruleset_id;
	__u32 peer_group_set;
	__u32 flags;
	enum connection_op op;
};

#define NS_PER_MS 1000000ULL

/* How long it may be idle, in nanoseconds. */
static __always_inline __u64 connection_idle(__u8 protocol, __u32 flags)
{
	__u32 zero = 0, ms;
	struct host_config *self = bpf_map_lookup_elem(&host, &zero);

	if (!self) /* uncovered: the element is part of the map */
		return 0;
	if (protocol == IPPROTO_TCP)
		ms = (flags & (CONNECTION_ANSWERED | CONNECTION_CLOSING)) == CONNECTION_ANSWERED ? self->idle.tcp_answered : self->idle.tcp_other;
	else if (protocol == IPPROTO_ICMP)
		ms = self->idle.echo;
	else
		ms = flags & CONNECTION_ANSWERED ? self->idle.answered : self->idle.unanswered;
	return ms * NS_PER_MS;
}

/* Processors' clocks may differ by a little: seen in the future is seen now. */
static __always_inline __u64 connection_age(__u64 last_seen, __u64 now)
{
	return now > last_seen ? now - last_seen : 0;
}

static __always_inline bool connection_key_equal(const struct connection_key *a, const struct connection_key *b)
{
	/* uncovered: only while the element is given to another key at this moment (D5) */
	return a->wire_id == b->wire_id && a->direction == b->direction && a->protocol == b->protocol && a->sport == b->sport &&
	       a->dport == b->dport && addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst);
}

/* What is copied of an entry; the stack has no room for its key too. */
struct connection_known {
	__u32 ruleset_id;
	__u32 peer_group_set;
	__u32 flags;
	__u32 reserved;
	__u64 last_seen;
};

/*
 * A copy of the entry, if it is there and not idle for too long. The key is compared last: the element may become another's (D5). The key
 * must lie on the stack: memory that a global function was handed is no key for kernel 6.1.
 */
static __always_inline bool connection_find(const struct connection_key *key, __u64 now, struct connection_known *known)
{
	struct connection *found = bpf_map_lookup_elem(&connections, key);

	if (!found)
		return false;
	known->ruleset_id = found->state.ruleset_id;
	known->peer_group_set = found->state.peer_group_set;
	known->flags = found->state.flags;
	known->last_seen = found->state.last_seen;
	barrier();
	/* uncovered: only while the element is given to another key at this moment (D5) */
	return connection_key_equal(&found->state.key, key) &&
	       connection_age(known->last_seen, now) < connection_idle(key->protocol, known->flags);
}

#endif
