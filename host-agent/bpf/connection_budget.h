/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_CONNECTION_BUDGET_H
#define PLENUM_CONNECTION_BUDGET_H

#include "maps.h"

/*
 * How many connections an interface may hold (docs/design/connections.md, D6). So many as its share names are its own; what it holds
 * beyond comes out of a part that all interfaces of the host have in common. Only what begins and what ends comes here.
 */

/* The element is made by the agent before traffic. */
struct connection_budget {
	__u32 wire_id;
	__u32 limit;
	__s64 count;
	__u32 share;
	__u32 reserved;
};

/* Always the sum, over all budgets, of what their counts are beyond their shares: whoever moves a count across a share tells it here. */
struct connection_common {
	__s64 taken;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct connection_budget);
} budgets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connection_common);
} common SEC(".maps");

/* Returns what was taken before. Nothing is written for nothing: the element is one for all processors. */
static __always_inline __s64 budget_take_common(__s64 more)
{
	__u32 zero = 0;
	struct connection_common *part = bpf_map_lookup_elem(&common, &zero);

	if (!part) /* uncovered: the element is part of the map */
		return 0;
	return more ? __sync_fetch_and_add(&part->taken, more) : part->taken;
}

static __always_inline void budget_give_back(struct connection_budget *budget)
{
	if (__sync_fetch_and_add(&budget->count, -1) > budget->share)
		budget_take_common(-1);
}

/*
 * Whether one who holds so many may have one more, while so much of the common part is taken. Beyond its share: while that is less than
 * what is left for others. So nobody has to be told how many there are who want more, and something is left for who comes last.
 */
static __always_inline enum drop_reason budget_judge(const struct connection_budget *budget, __s64 held, __s64 taken)
{
	__u32 zero = 0;
	struct host_config *self = bpf_map_lookup_elem(&host, &zero);

	if (held >= budget->limit)
		return DROP_CONNECTION_BUDGET;
	if (held < budget->share)
		return DROP_NONE;
	/* uncovered: the element of the host is part of its map */
	return self && held - budget->share < self->common - taken ? DROP_NONE : DROP_CONNECTION_SHARE;
}

/* Whether the interface may begin a connection as it stands now. */
static __always_inline enum drop_reason budget_ask(__u32 wire_id)
{
	struct connection_budget *budget = bpf_map_lookup_elem(&budgets, &wire_id);
	enum drop_reason reason;

	if (!budget) /* uncovered: the agent makes a budget with its endpoint */
		return DROP_CONNECTION_BUDGET;
	reason = budget_judge(budget, budget->count, budget_take_common(0));
	barrier();
	/* uncovered: only while the element is given to another key at this moment (D5) */
	return budget->wire_id == wire_id ? reason : DROP_CONNECTION_BUDGET;
}

/* Counts one more, whatever the interface may have. */
static __always_inline enum drop_reason budget_count(struct connection_budget *budget)
{
	__s64 held = __sync_fetch_and_add(&budget->count, 1);

	return budget_judge(budget, held, held >= budget->share ? budget_take_common(1) : 0);
}

/* Counts one more, if it may be. */
static __always_inline enum drop_reason budget_reserve(__u32 wire_id)
{
	struct connection_budget *budget = bpf_map_lookup_elem(&budgets, &wire_id);
	enum drop_reason reason;

	if (!budget) /* uncovered: only if another processor took it since it was decided */
		return DROP_CONNECTION_BUDGET;
	reason = budget_count(budget);
	if (reason)
		budget_give_back(budget);
	return reason;
}

/* Never below zero: counters that were made anew do not know the connections of before. */
static __always_inline void budget_release(__u32 wire_id)
{
	struct connection_budget *budget = bpf_map_lookup_elem(&budgets, &wire_id);

	if (budget && budget->count > 0) /* uncovered: only after an agent has made the counters anew */
		budget_give_back(budget);
}

#endif
