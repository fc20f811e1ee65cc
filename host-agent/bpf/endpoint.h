/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_ENDPOINT_H
#define PLENUM_ENDPOINT_H

#include "maps.h"

/* Whether the address is one of the endpoint's. Global function: verified once. */
__noinline int endpoint_owns(struct endpoint *e, struct addr *a)
{
	if (!e || !a) /* uncovered: for the verifier; every caller passes them */
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ENDPOINT_ADDRESSES; i++) {
		if (i >= e->config.address_count)
			break;
		if (addr_equal(&e->addresses[i], a))
			return 1;
	}
	return 0;
}

/* True unless the source/destination check forbids the address to this endpoint. */
static __always_inline bool endpoint_may_use(struct endpoint *e, const struct endpoint_config *config, struct addr *a)
{
	return !(config->flags & ENDPOINT_SOURCE_DEST_CHECK) || endpoint_owns(e, a);
}

/* After everything was read: is it still the element we looked up (D5)? */
static __always_inline bool endpoint_still(struct endpoint *e, __u32 wire_id)
{
	barrier();
	return *(volatile __u32 *)&e->config.wire_id == wire_id;
}

#endif
