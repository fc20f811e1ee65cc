/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_MAPPING_H
#define PLENUM_MAPPING_H

#include "maps.h"

/* Where an address of a network lives; copied once, then compared with what was asked (D5). */
static __always_inline bool mapping_find(__u32 vni, const struct addr *address, struct mapping *out)
{
	struct mapping_key key = { .vni = vni, .address = *address };
	struct mapping *found = bpf_map_lookup_elem(&mappings, &key);

	if (!found)
		return false;
	*out = *found;
	barrier();
	/* uncovered: only while the element is given to another key at this moment (D5) */
	return out->key.vni == vni && addr_equal(&out->key.address, address);
}

static __always_inline bool sender_allowed(__u32 vni, const struct addr *host_address)
{
	struct sender_key key = { .vni = vni, .host = *host_address };
	struct sender *found = bpf_map_lookup_elem(&senders, &key);

	/* uncovered: only while the element is given to another key at this moment (D5) */
	return found && found->key.vni == vni && addr_equal(&found->key.host, host_address);
}

#endif
