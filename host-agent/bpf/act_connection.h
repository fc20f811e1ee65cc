/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_ACT_CONNECTION_H
#define PLENUM_ACT_CONNECTION_H

#include <linux/errno.h>
#include "connection_expiry.h"

/*
 * A whole new element, also for an old connection under new ids: in place, they could come to stand in an element that was given to
 * another connection meanwhile.
 */
static __always_inline enum drop_reason connection_write(struct connection_effect *e, __u64 now)
{
	struct connection_key key = e->key; /* on the stack: see connection_find */
	struct connection c = {};
	bool reserved = e->op == CONNECTION_BEGIN;
	long error = -EEXIST;

	c.state.key = key;
	c.state.ruleset_id = e->ruleset_id;
	c.state.peer_group_set = e->peer_group_set;
	c.state.flags = e->flags;
	c.state.last_seen = now;
	if (reserved) {
		enum drop_reason reason = budget_reserve(key.wire_id);

		if (reason)
			return reason;
		error = bpf_map_update_elem(&connections, &key, &c, BPF_NOEXIST);
		if (error)
			budget_release(key.wire_id);
	}
	/* Begun on another processor at this moment, or idle for too long and not freed yet. */
	if (error == -EEXIST)
		error = bpf_map_update_elem(&connections, &key, &c, BPF_EXIST);
	if (error)
		return DROP_CONNECTION_TABLE;
	if (connection_arm(&key, e->flags)) /* uncovered: only where the kernel has no memory */
		return DROP_NONE;
	/* With nobody to end it, it would stay for ever. */
	connection_delete(&key);
	return DROP_CONNECTION_TABLE;
}

static __always_inline void connection_touch(struct connection_effect *e, __u64 now)
{
	struct connection_key key = e->key; /* on the stack: see connection_find */
	struct connection *c = bpf_map_lookup_elem(&connections, &key);

	/* uncovered: only if another processor took it since it was decided */
	if (!c || !connection_key_equal(&c->state.key, &key))
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
	if (!e) /* uncovered: for the verifier; every caller passes one */
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
	if (e && e->op == CONNECTION_DELETE) { /* uncovered: for the verifier; every caller passes one */
		struct connection_key key = e->key; /* on the stack: see connection_find */

		connection_delete(&key);
	}
	return 0;
}

#endif
