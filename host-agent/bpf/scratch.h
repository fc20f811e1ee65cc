/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_SCRATCH_H
#define PLENUM_SCRATCH_H

#include "decision.h"
#include "packet.h"

/* What one run of a program works on; too much for the 512 bytes of stack. */
struct scratch {
	struct packet packet;
	struct decision decision;
};

/* Its size alone is part of the schema: what programs keep in it is their own affair. */
struct scratch_room {
	__u64 words[64];
};

_Static_assert(sizeof(struct scratch) <= sizeof(struct scratch_room), "the scratch has outgrown its room");

/* One per processor will do: tc programs run in softirq and do not interrupt each other. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch_room);
} scratch SEC(".maps");

/* Empty but for the time. Null never happens: the element is part of the map. */
static __always_inline struct scratch *scratch_begin(void)
{
	__u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (s) { /* uncovered: the element is part of the map */
		__builtin_memset(s, 0, sizeof(*s));
		s->packet.now = bpf_ktime_get_coarse_ns();
	}
	return s;
}

#endif
