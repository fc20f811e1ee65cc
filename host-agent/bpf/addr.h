/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_ADDR_H
#define PLENUM_ADDR_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

/* An IPv6 address, or an IPv4 one in its mapped form (::ffff:a.b.c.d); network byte order. One shape for every key. */
struct addr {
	__u32 w[4];
};

#define ADDR_V4_MARK bpf_htonl(0xffff)

static __always_inline void addr_from_v4(struct addr *a, __be32 v4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = ADDR_V4_MARK;
	a->w[3] = v4;
}

static __always_inline bool addr_is_v4(const struct addr *a)
{
	return a->w[0] == 0 && a->w[1] == 0 && a->w[2] == ADDR_V4_MARK;
}

static __always_inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->w[3] == b->w[3] && a->w[2] == b->w[2] && a->w[1] == b->w[1] && a->w[0] == b->w[0];
}

#endif
