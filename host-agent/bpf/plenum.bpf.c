// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two programs of a host. Each reads top to bottom as: what do we know, what is decided, do it. And one that the agent runs.
 * Kernel floor 6.1; no kernel structs, only UAPI context, so one object fits every kernel.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "act.h"
#include "decide_instance.h"
#include "decide_tunnel.h"
#include "import_connections.h"
#include "scratch.h"

/* Timers are for programs under the GPL or both; everything in this directory is under either, as its users like. */
char _license[] SEC("license") = "Dual BSD/GPL";

/* Ingress of the host side of a guest's device: everything that a guest sends. */
SEC("tc")
int from_instance(struct __sk_buff *skb)
{
	struct scratch *s = scratch_begin();

	if (!s)
		return TC_ACT_SHOT;
	decide_from_instance(skb, &s->packet, &s->decision);
	return act(skb, &s->packet, &s->decision);
}

/* A function of its own for the sake of the stack: its frame is gone when the deciding begins. */
static __noinline void read_tunnel(struct __sk_buff *skb, struct tunnel_source *source)
{
	struct bpf_tunnel_key key = {};

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0))
		return;
	source->present = 1;
	source->vni = key.tunnel_id;
	addr_from_v4(&source->sender, bpf_htonl(key.remote_ipv4));
}

/* Ingress of the host's one VXLAN device (external mode): everything that other hosts send. */
SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct tunnel_source source = {};
	struct scratch *s = scratch_begin();

	if (!s)
		return TC_ACT_SHOT;
	read_tunnel(skb, &source);
	decide_from_tunnel(skb, &source, &s->packet, &s->decision);
	return act(skb, &s->packet, &s->decision);
}

/*
 * Run by the agent: the packet is entries of an older table, as struct connection_state, one after the other. Returns how many found no
 * room. A packet too short for one: goes through the list of those without a timer, so that there is room.
 */
SEC("tc")
int import_connections(struct __sk_buff *skb)
{
	struct connection_state state = {};
	int refused = 0;

	if (skb->len < sizeof(state))
		bpf_for_each_map_elem(&untimed, connection_sweep_one, 0, 0);
	for (__u32 i = 0; i < IMPORT_MAX; i++) {
		if (bpf_skb_load_bytes(skb, i * sizeof(state), &state, sizeof(state)))
			break;
		refused += import_connection(&state);
	}
	return refused;
}
