/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_CONNECTION_EXPIRY_H
#define PLENUM_CONNECTION_EXPIRY_H

#include <linux/errno.h>
#include "connection.h"
#include "connection_budget.h"

/*
 * Idle connections go in the kernel, whether or not an agent lives: each entry has a timer. But newer kernels (seen on 6.18) give a
 * timer its memory without taking locks and often have none, however much is free. So an entry whose timer could not be made is
 * listed, and one timer for all goes through that list every second.
 */

#define CLOCK_MONOTONIC 1

/* An entry looks at least this often whether its interface is still there. */
#define CONNECTION_LOOK_MAX (300 * 1000 * NS_PER_MS)
#define CONNECTION_SWEEP_EVERY (1000 * NS_PER_MS)

struct connection_untimed {
	struct connection_key key;
};

struct connection_sweeper {
	struct bpf_timer timer;
	__u32 running;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct connection_key);
	__type(value, struct connection_untimed);
} untimed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connection_sweeper);
} sweeper SEC(".maps");

static __always_inline void connection_delete(struct connection_key *key)
{
	__u32 wire_id = key->wire_id;

	if (!bpf_map_delete_elem(&connections, key)) /* uncovered: only if it went idle since it was looked up */
		budget_release(wire_id);
}

/* Nanoseconds until it is worth looking again; 0: it may go. */
/* not measured: acts on the kernel's clock; connection-expiry.kernel.test.ts waits for it */
static __always_inline __u64 connection_left(const struct connection *c)
{
	__u64 idle = connection_idle(c->state.key.protocol, c->state.flags);
	__u64 age = connection_age(c->state.last_seen, bpf_ktime_get_ns());
	__u32 wire_id = c->state.key.wire_id;

	if (age >= idle || !bpf_map_lookup_elem(&endpoints, &wire_id))
		return 0;
	return idle - age < CONNECTION_LOOK_MAX ? idle - age : CONNECTION_LOOK_MAX;
}

/* not measured: acts on the kernel's clock; connection-expiry.kernel.test.ts waits for it */
static int connection_look(void *map, struct connection_key *key, struct connection *c)
{
	__u64 left = connection_left(c);

	(void)map;
	if (left)
		bpf_timer_start(&c->timer, left, 0);
	else
		connection_delete(key);
	return 0;
}

/* Sees to it that an entry has a timer, which runs; false where the kernel has none to give. */
/* not measured: acts on the kernel's clock; connection-expiry.kernel.test.ts waits for it */
static __always_inline bool connection_time(struct connection *c, __u64 delay)
{
	long error = bpf_timer_init(&c->timer, &connections, CLOCK_MONOTONIC);

	/* -EBUSY: it has one already, as one that was written anew while it was listed. */
	return (!error || error == -EBUSY) && !bpf_timer_set_callback(&c->timer, connection_look) && !bpf_timer_start(&c->timer, delay, 0);
}

/* not measured: acts on the kernel's clock; connection-expiry.kernel.test.ts waits for it */
static long connection_sweep_one(void *map, struct connection_key *key, struct connection_untimed *value, void *context)
{
	struct connection *c = bpf_map_lookup_elem(&connections, key);
	__u64 left = c ? connection_left(c) : 0;

	(void)value;
	(void)context;
	if (c && left && !connection_time(c, left))
		return 0;
	if (c && !left)
		connection_delete(key);
	bpf_map_delete_elem(map, key);
	return 0;
}

static int connection_sweep(void *map, __u32 *key, struct connection_sweeper *s)
{
	(void)map;
	(void)key;
	bpf_for_each_map_elem(&untimed, connection_sweep_one, 0, 0);
	bpf_timer_start(&s->timer, CONNECTION_SWEEP_EVERY, 0);
	return 0;
}

/* That timer too may be had only at a later attempt; until then what is listed stays, but is of no worth once idle. */
/* not measured: acts on the kernel's clock; connection-expiry.kernel.test.ts waits for it */
static __always_inline void connection_sweeper_start(void)
{
	__u32 zero = 0;
	struct connection_sweeper *s = bpf_map_lookup_elem(&sweeper, &zero);

	if (!s)
		return;

	long error = bpf_timer_init(&s->timer, &sweeper, CLOCK_MONOTONIC);

	if (error && error != -EBUSY)
		return;
	/* Each time: after an upgrade it is the new program's. */
	if (!bpf_timer_set_callback(&s->timer, connection_sweep) && !s->running && !bpf_timer_start(&s->timer, CONNECTION_SWEEP_EVERY, 0))
		s->running = 1;
}

/* Sees to it that an entry goes some time; false: it cannot be kept. */
/* not measured: acts on the kernel's clock; connection-expiry.kernel.test.ts waits for it */
static __always_inline bool connection_arm(struct connection_key *key, __u32 flags)
{
	struct connection *c = bpf_map_lookup_elem(&connections, key);
	__u64 idle = connection_idle(key->protocol, flags);
	struct connection_untimed value = {};

	if (!c)
		return true; /* gone already */
	if (connection_time(c, idle < CONNECTION_LOOK_MAX ? idle : CONNECTION_LOOK_MAX))
		return true;
	value.key = *key;
	if (bpf_map_update_elem(&untimed, key, &value, BPF_ANY))
		return false;
	connection_sweeper_start();
	return true;
}

#endif
