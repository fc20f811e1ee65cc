/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_FRAGMENT_H
#define PLENUM_FRAGMENT_H

#include "addr.h"
#include "packet.h"

/* A first fragment's ports, for those that follow it (D13). */

#define FRAGMENT_LIFE 2000000000ULL /* nanoseconds */

struct fragment_key {
	__u32 vni;
	struct addr src;
	struct addr dst;
	__u16 identification;
	__u8 protocol;
	__u8 reserved;
};

struct fragment {
	struct fragment_key key;
	__u16 port; /* as in struct packet */
	__u16 sport;
	__u16 dport;
	__u16 flags; /* of PACKET_FLOW_FLAGS */
	__u32 reserved;
	__u64 seen;
};

/* Who floods it makes others' later fragments orphans; no connection is lost by that, so one map for all will do. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

static __always_inline void fragment_key_of(struct fragment_key *key, __u32 vni, const struct packet *pkt)
{
	key->vni = vni;
	key->src = pkt->src;
	key->dst = pkt->dst;
	key->identification = pkt->identification;
	key->protocol = pkt->protocol;
	key->reserved = 0;
}

static __always_inline bool fragment_key_equal(const struct fragment_key *a, const struct fragment_key *b)
{
	/* uncovered: only while the element is given to another key at this moment (D5) */
	return a->vni == b->vni && a->identification == b->identification && a->protocol == b->protocol && addr_equal(&a->src, &b->src) &&
	       addr_equal(&a->dst, &b->dst);
}

/* Gives an orphan the ports of its first fragment. Global function: verified once. */
__noinline int fragment_adopt(struct packet *pkt, __u32 vni)
{
	struct fragment_key key;
	struct fragment copy;

	if (!pkt) /* uncovered: for the verifier; every caller passes one */
		return 0;
	fragment_key_of(&key, vni, pkt);

	struct fragment *first = bpf_map_lookup_elem(&fragments, &key);

	if (!first)
		return 0;
	copy = *first;
	barrier();
	/* uncovered: only while the element is given to another key at this moment (D5) */
	if (!fragment_key_equal(&copy.key, &key) || pkt->now > copy.seen + FRAGMENT_LIFE)
		return 0;
	pkt->port = copy.port;
	pkt->sport = copy.sport;
	pkt->dport = copy.dport;
	pkt->flags = (pkt->flags & ~PACKET_ORPHAN) | copy.flags;
	return 0;
}

/* Leaves the ports of a first fragment that was handed over. Global function: verified once. */
__noinline int fragment_leave(struct packet *pkt, __u32 vni)
{
	struct fragment value = {};

	/* uncovered: for the verifier; every caller passes one */
	if (!pkt || !(pkt->flags & PACKET_FIRST_FRAGMENT) || (pkt->flags & PACKET_ICMP_ERROR))
		return 0;
	fragment_key_of(&value.key, vni, pkt);
	value.port = pkt->port;
	value.sport = pkt->sport;
	value.dport = pkt->dport;
	value.flags = pkt->flags & PACKET_FLOW_FLAGS;
	value.seen = pkt->now;
	/* Refused for want of memory: the later ones will be orphans, and are counted as such. */
	return bpf_map_update_elem(&fragments, &value.key, &value, BPF_ANY) ? 1 : 0; /* uncovered: only where the kernel has no memory */
}

#endif
