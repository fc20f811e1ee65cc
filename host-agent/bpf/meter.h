/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_METER_H
#define PLENUM_METER_H

#include "maps.h"
#include "packet.h"

/*
 * Billed bytes are what would be on the wire at IP level (D17): a segmentation-offload packet repeats its headers once a segment.
 * Segments are computed from gso_size; gso_segs is 0 from a tap, and skb->len differs between the two ends.
 */
static __always_inline __u64 meter_wire_bytes(struct __sk_buff *skb, const struct packet *pkt)
{
	__u32 gso_size = skb->gso_size, headers = (__u32)pkt->l3_len + pkt->l4_len;

	if (!gso_size || pkt->ip_len <= headers + gso_size)
		return pkt->ip_len;

	__u32 segments = (pkt->ip_len - headers + gso_size - 1) / gso_size;

	return pkt->ip_len + (__u64)(segments - 1) * headers;
}

static __always_inline struct meter *meter_find(__u64 meter_id, __u32 direction)
{
	struct meter_key key = { .meter_id = meter_id, .direction = direction };

	return bpf_map_lookup_elem(&meters, &key);
}

/* Per CPU, and tc programs of one CPU do not interrupt each other: no atomics needed. */
static __always_inline void meter_add(struct meter *m, __u64 bytes, __u32 raw)
{
	m->packets++;
	m->bytes += bytes;
	m->raw_bytes += raw;
}

#endif
