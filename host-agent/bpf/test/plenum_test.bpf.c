// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The deciding half alone, for BPF_PROG_TEST_RUN (D23): tunnel metadata comes from a map instead of the packet, and the decision goes
 * to a map instead of being done; of the doing, only what is counted and remembered is done, and only if asked for. It shares the
 * maps of the real object.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../act.h"
#include "../decide_instance.h"
#include "../decide_tunnel.h"
#include "../scratch.h"

char _license[] SEC("license") = "Dual BSD/GPL";

struct test_control {
	__u64 now;    /* 0: the kernel's clock */
	__u32 commit; /* 1: meters, connections and fragments are written as for a packet handed over, or dropped */
	__u32 refused; /* out: drop reason with which the writing refused the packet */
	__u32 vlan_tci; /* not 0: the kernel took this tag off the frame (D15) */
	__u32 refused_for; /* out: the interface that was refused */
	__u64 bytes;   /* out: what meters would count (D17) */
	__u32 raw;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tunnel_source);
} test_tunnel SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct test_control);
} test_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct decision);
} test_decision SEC(".maps");

static __always_inline struct scratch *test_begin(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct scratch *s = scratch_begin();
	struct test_control *control = bpf_map_lookup_elem(&test_control, &zero);

	if (control && control->vlan_tci && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), control->vlan_tci))
		return 0;
	if (s && control && control->now)
		s->packet.now = control->now;
	return s;
}

static __always_inline int report(struct __sk_buff *skb, struct scratch *s)
{
	__u32 zero = 0, refused_for = 0;
	struct test_control *control = bpf_map_lookup_elem(&test_control, &zero);
	struct decision *d = &s->decision;

	if (bpf_map_update_elem(&test_decision, &zero, d, BPF_ANY) || !control)
		return TC_ACT_SHOT;
	if (!control->commit)
		return TC_ACT_OK;
	control->refused = DROP_NONE;
	control->refused_for = 0;
	control->bytes = meter_wire_bytes(skb, &s->packet);
	control->raw = skb->len;
	if (d->verdict == VERDICT_DROP) {
		act_connection_dropped(&d->egress);
		act_connection_dropped(&d->ingress);
	} else if (d->verdict == VERDICT_TUNNEL || d->verdict == VERDICT_DELIVER) {
		struct act_meters meters;

		control->refused = act_find_meters(d, &meters, &refused_for);
		if (!control->refused)
			control->refused = act_remember(&s->packet, d, &refused_for);
		if (control->refused) {
			control->refused_for = refused_for;
		} else {
			fragment_leave(&s->packet, d->vni);
			act_count(&meters, control->bytes, control->raw);
		}
	}
	return TC_ACT_OK;
}

SEC("tc")
int test_from_instance(struct __sk_buff *skb)
{
	struct scratch *s = test_begin(skb);

	if (!s)
		return TC_ACT_SHOT;
	decide_from_instance(skb, &s->packet, &s->decision);
	return report(skb, s);
}

SEC("tc")
int test_from_tunnel(struct __sk_buff *skb)
{
	struct tunnel_source source = {};
	__u32 zero = 0;
	struct tunnel_source *injected = bpf_map_lookup_elem(&test_tunnel, &zero);
	struct scratch *s = test_begin(skb);

	if (!s)
		return TC_ACT_SHOT;
	if (injected)
		source = *injected;
	decide_from_tunnel(skb, &source, &s->packet, &s->decision);
	return report(skb, s);
}
