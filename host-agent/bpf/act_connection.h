/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_ACT_CONNECTION_H
#define PLENUM_ACT_CONNECTION_H

#include <linux/errno.h>
#include "connection.h"

#define CLOCK_MONOTONIC 1

/* An entry looks at least this often whether its interface is still there. */
#define CONNECTION_LOOK_MAX (300 * 1000 * NS_PER_MS)

/* Never below zero: counters that were made anew do not know the connections of before. */
static __always_inline void connection_release(__u32 wire_id)
{
	struct connection_budget *budget = bpf_map_lookup_elem(&budgets, &wire_id);

	if (budget && budget->count > 0)
		__sync_fetch_and_add(&budget->count, -1);
}

static __always_inline bool connection_reserve(__u32 wire_id)
{
	struct connection_budget *budget = bpf_map_lookup_elem(&budgets, &wire_id);

	if (!budget)
		return false;
	if (__sync_fetch_and_add(&budget->count, 1) < budget->limit)
		return true;
	__sync_fetch_and_add(&budget->count, -1);
	return false;
}

static __always_inline void connection_delete(struct connection_key *key)
{
	__u32 wire_id = key->wire_id;

	if (!bpf_map_delete_elem(&connections, key))
		connection_release(wire_id);
}

/* Runs in the kernel, whether or not an agent lives. */
static int connection_look(void *map, struct connection_key *key, struct connection *c)
{
	__u64 idle = connection_idle(c->state.key.protocol, c->state.flags);
	__u64 age = connection_age(&c->state, bpf_ktime_get_ns());
	__u32 wire_id = c->state.key.wire_id;

	(void)map;
	if (age >= idle || !bpf_map_lookup_elem(&endpoints, &wire_id)) {
		connection_delete(key);
		return 0;
	}

	__u64 left = idle - age;

	bpf_timer_start(&c->timer, left < CONNECTION_LOOK_MAX ? left : CONNECTION_LOOK_MAX, 0);
	return 0;
}

static __always_inline bool connection_arm(struct connection_effect *e)
{
	struct connection *c = bpf_map_lookup_elem(&connections, &e->key);
	__u64 idle = connection_idle(e->key.protocol, e->flags);

	return c && !bpf_timer_init(&c->timer, &connections, CLOCK_MONOTONIC) && !bpf_timer_set_callback(&c->timer, connection_look) &&
	       !bpf_timer_start(&c->timer, idle < CONNECTION_LOOK_MAX ? idle : CONNECTION_LOOK_MAX, 0);
}

/*
 * A whole new element, also for an old connection under new ids: in place, they could come to stand in an element that was given to
 * another connection meanwhile.
 */
static __always_inline enum drop_reason connection_write(struct connection_effect *e, __u64 now)
{
	struct connection c = {};
	bool reserved = e->op == CONNECTION_BEGIN;
	long error = -EEXIST;

	c.state.key = e->key;
	c.state.ruleset_id = e->ruleset_id;
	c.state.peer_group_set = e->peer_group_set;
	c.state.flags = e->flags;
	c.state.last_seen = now;
	if (reserved) {
		if (!connection_reserve(e->key.wire_id))
			return DROP_CONNECTION_BUDGET;
		error = bpf_map_update_elem(&connections, &e->key, &c, BPF_NOEXIST);
		if (error)
			connection_release(e->key.wire_id);
	}
	/* Begun on another processor at this moment, or idle for too long and not freed yet. */
	if (error == -EEXIST)
		error = bpf_map_update_elem(&connections, &e->key, &c, BPF_EXIST);
	if (error)
		return DROP_CONNECTION_TABLE;
	if (connection_arm(e))
		return DROP_NONE;
	/* Without a timer it would stay for ever. */
	connection_delete(&e->key);
	return DROP_CONNECTION_TABLE;
}

static __always_inline void connection_touch(struct connection_effect *e, __u64 now)
{
	struct connection *c = bpf_map_lookup_elem(&connections, &e->key);

	if (!c || !connection_key_equal(&c->state.key, &e->key))
		return;
	c->state.last_seen = now;
	if (c->state.flags == e->flags)
		return;

	bool sooner = connection_idle(e->key.protocol, e->flags) < connection_idle(e->key.protocol, c->state.flags);

	c->state.flags = e->flags;
	if (sooner)
		bpf_timer_start(&c->timer, connection_idle(e->key.protocol, e->flags), 0);
}

/* Writes what was decided about a packet that is handed over. Not DROP_NONE: it must be dropped. Global function: verified once. */
__noinline int act_connection(struct connection_effect *e, __u64 now)
{
	if (!e)
		return DROP_CONNECTION_TABLE;
	switch (e->op) {
	case CONNECTION_BEGIN:
	case CONNECTION_RENEW:
		return connection_write(e, now);
	case CONNECTION_TOUCH:
		connection_touch(e, now);
		return DROP_NONE;
	default:
		return DROP_NONE;
	}
}

/* What is done for a packet that is dropped. Global function: verified once. */
__noinline int act_connection_dropped(struct connection_effect *e)
{
	if (e && e->op == CONNECTION_DELETE)
		connection_delete(&e->key);
	return 0;
}

#endif
