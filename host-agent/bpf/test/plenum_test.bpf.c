// SPDX-License-Identifier: Apache-2.0
/*
 * The deciding half alone, for BPF_PROG_TEST_RUN (D23): tunnel metadata comes from a map instead of the packet, and the decision goes
 * to a map instead of being done. It shares the maps of the real object.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../act.h"
#include "../decide_instance.h"
#include "../decide_tunnel.h"

char _license[] SEC("license") = "Apache-2.0";

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
	__type(value, struct decision);
} test_decision SEC(".maps");

static __always_inline int report(const struct decision *decision)
{
	__u32 zero = 0;

	return bpf_map_update_elem(&test_decision, &zero, decision, BPF_ANY) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int test_from_instance(struct __sk_buff *skb)
{
	struct packet pkt;
	struct decision decision;

	__builtin_memset(&pkt, 0, sizeof(pkt));
	__builtin_memset(&decision, 0, sizeof(decision));
	decide_from_instance(skb, &pkt, &decision);
	return report(&decision);
}

SEC("tc")
int test_from_tunnel(struct __sk_buff *skb)
{
	struct tunnel_source source = {};
	struct packet pkt;
	struct decision decision;
	__u32 zero = 0;
	struct tunnel_source *injected = bpf_map_lookup_elem(&test_tunnel, &zero);

	__builtin_memset(&pkt, 0, sizeof(pkt));
	__builtin_memset(&decision, 0, sizeof(decision));
	if (injected)
		source = *injected;
	decide_from_tunnel(skb, &source, &pkt, &decision);
	return report(&decision);
}
