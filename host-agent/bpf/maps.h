/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_MAPS_H
#define PLENUM_MAPS_H

#include "addr.h"
#include "drop_reasons.h"

/*
 * What the agent writes and the programs read. TypeScript's view of these structs is generated from this object's BTF (D27).
 *
 * A hash element that is deleted or replaced may be reused for another key while a program still reads it (D5). So each value
 * repeats its key in its first bytes: a program copies what it needs, then compares the key, and treats a stranger as absent.
 *
 * Another version's elements are copied by the names of structs and fields (docs/adr/0008): what changes its meaning changes its name.
 */

#define ENDPOINT_ADDRESSES 16

enum device_kind {
	DEVICE_VETH = 1,
	DEVICE_TAP = 2,
};

enum endpoint_flag {
	/* The guest may use its own addresses only, as a source and as a destination. */
	ENDPOINT_SOURCE_DEST_CHECK = 1,
	/* Switched off: nothing from it and nothing for it passes. */
	ENDPOINT_DISABLED = 2,
};

enum direction {
	DIRECTION_INGRESS = 1, /* towards the guest */
	DIRECTION_EGRESS = 2,
};

/* The part of an endpoint that a program copies. */
struct endpoint_config {
	__u32 wire_id;
	__u32 vni;
	__u32 ifindex;
	__u32 ruleset_id;
	__u32 group_set_id;
	enum device_kind device;
	enum endpoint_flag flags;
	__u32 guest_mtu;
	__u64 meter_id;
	__u8 guest_mac[6];
	__u8 gateway_mac[6];
	__u32 address_count;
};

struct endpoint {
	struct endpoint_config config;
	struct addr addresses[ENDPOINT_ADDRESSES];
};

struct mapping_key {
	__u32 vni;
	struct addr address;
};

struct mapping {
	struct mapping_key key;
	struct addr host;
	__u32 wire_id;
	__u32 group_set_id;
};

/* A host that may send into a network (D3). */
struct sender_key {
	__u32 vni;
	struct addr host;
};

struct sender {
	struct sender_key key;
};

struct meter_key {
	__u64 meter_id;
	enum direction direction;
	__u32 reserved;
};

struct meter {
	__u64 packets;
	__u64 bytes;	 /* on the wire at IP level (D17) */
	__u64 raw_bytes; /* skb->len */
	__u32 wire_id;	 /* whose it is: the agent finds it again after a crash */
	__u32 reserved;
};

struct drop_counters {
	__u64 count[DROP_SLOTS]; /* by enum drop_reason */
	__u64 epoch;		 /* another for each element ever made: of which life these counts are (C22) */
};

/* Of which life the meters are: another number whenever they begin from nothing (C22). */
struct counter_epoch {
	__u64 epoch;
};

/* For how long a connection may be idle, in milliseconds. */
struct idle_ms {
	__u32 tcp_answered;
	__u32 tcp_other; /* unanswered, or FIN or RST seen */
	__u32 answered;	 /* UDP and the rest */
	__u32 unanswered;
	__u32 echo;
};

struct host_config {
	struct addr address; /* on the substrate */
	__u32 tunnel_ifindex;
	struct idle_ms idle;
	__u32 common; /* connections: how many interfaces may hold beyond their shares, all together */
};

/* Host-side device of a guest -> wire id. An index only: what counts is the endpoint, which names its device too. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

/* Sized for 1,000,000 addresses; an element takes 128 bytes of kernel memory and 16 for its bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct mapping_key);
	__type(value, struct mapping);
} mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct sender_key);
	__type(value, struct sender);
} senders SEC(".maps");

/* Elements are created by the agent before traffic, never by a packet (D18). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct meter_key);
	__type(value, struct meter);
} meters SEC(".maps");

/* By wire id; element 0 is the host's own and always present. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65537);
	__type(key, __u32);
	__type(value, struct drop_counters);
} drops SEC(".maps");

/* Of the agent's alone: element 0, made before the first meter. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counter_epoch);
} epochs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct host_config);
} host SEC(".maps");

#endif
