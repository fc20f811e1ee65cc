/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_IMPORT_CONNECTIONS_H
#define PLENUM_IMPORT_CONNECTIONS_H

#include "connection_expiry.h"

/* What an upgrade carries over from another version's table (D21): only a program can keep budgets exact and give an entry its timer. */

#define IMPORT_MAX 32

/* One that is there already has been begun or written since, and stays. 1: there was no room. Global function: verified once. */
__noinline int import_connection(struct connection_state *state)
{
	struct connection c = {};
	struct connection_budget *budget;
	__u32 wire_id;
	long error;

	if (!state)
		return 1;
	c.state = *state;
	wire_id = c.state.key.wire_id;
	budget = bpf_map_lookup_elem(&budgets, &wire_id);
	if (!budget)
		return 0; /* of an interface that is gone */
	budget_count(budget); /* what was allowed to begin stays, however full it is here */
	error = bpf_map_update_elem(&connections, &c.state.key, &c, BPF_NOEXIST);
	if (error) {
		budget_release(wire_id);
		return error != -EEXIST;
	}
	if (connection_arm(&c.state.key, c.state.flags))
		return 0;
	connection_delete(&c.state.key);
	return 1;
}

#endif
