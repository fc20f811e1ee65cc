/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLENUM_DROP_REASONS_H
#define PLENUM_DROP_REASONS_H

/*
 * Every way a packet can end here (D19). A number is given once and never again, also when its reason disappears: metrics, alarms
 * and statements of tenants refer to it. The text is shown to operators and in the reference page (layout.gen.ts carries it).
 * "Interface" is the one whose counter rises; "host" means the counter of the host itself (wire id 0).
 */
#define PLENUM_DROP_REASONS(REASON)                                                                                                  \
	REASON(1, NOT_CONFIGURED, "Interface device without a configured endpoint: closed until its configuration is applied (host)") \
	REASON(2, MALFORMED, "A header is missing, shorter than it says, or contradicts the frame's length")                          \
	REASON(3, VLAN_TAG, "The frame carries a VLAN tag that this interface does not expect")                                       \
	REASON(4, SOURCE_MAC, "The guest used a source MAC that is not its interface's")                                              \
	REASON(5, SOURCE_ADDRESS, "The guest used a source address that is not its interface's (source/destination check)")           \
	REASON(6, MULTICAST, "Broadcast or multicast")                                                                                \
	REASON(7, ETHERTYPE, "Neither IPv4, IPv6 nor ARP")                                                                            \
	REASON(8, IPV6_UNSUPPORTED, "IPv6 packet; this version forwards IPv4 only")                                                   \
	REASON(9, ARP_SPOOFED, "ARP request whose sender MAC or sender address is not the interface's")                               \
	REASON(10, ARP_UNANSWERED, "ARP that gets no answer: a probe, an announcement, a question for an own address, or a reply")    \
	REASON(11, RULE_EGRESS, "No egress rule of the interface allows the packet, or what began its connection")                      \
	REASON(12, RULE_INGRESS, "No ingress rule of the interface allows the packet, or what began its connection")                    \
	REASON(13, FRAGMENT, "Later fragment whose first was not seen: it shows no port, and no rule allows all ports of its protocol")                       \
	REASON(14, TOO_BIG_ANSWERED, "Longer than the interface's MTU, do-not-fragment set: the guest was sent fragmentation-needed") \
	REASON(15, TOO_BIG, "Longer than the interface's MTU and no message was due")                                                 \
	REASON(16, NO_MAPPING, "The destination is no known address of this network")                                                 \
	REASON(17, TARGET_CLOSED, "The target interface is not open on this host (host for tunnel packets, else the sender)")         \
	REASON(18, TARGET_NETWORK, "The target interface belongs to another network (host for tunnel packets, else the sender)")      \
	REASON(19, TARGET_ADDRESS, "The destination address is not the target interface's (source/destination check)")                \
	REASON(20, NO_TUNNEL_KEY, "A packet on the tunnel device without IPv4 tunnel metadata (host)")                                \
	REASON(21, WIRE_HEADER, "The inner Ethernet header does not carry ids (host)")                                                \
	REASON(22, UNKNOWN_SENDER_HOST, "The outer source is not a host of this network (host)")                                      \
	REASON(23, SENDER_NOT_OWNER, "The sending host does not hold the inner source address (host)")                                \
	REASON(24, RULESET_MISSING, "The interface's ruleset is not loaded")                                                          \
	REASON(25, METER_MISSING, "The interface has no meter: nothing passes unmetered")                                             \
	REASON(26, HOST_NOT_CONFIGURED, "The host's own address or tunnel device is not set")                                         \
	REASON(27, SUBSTRATE_UNSUPPORTED, "The target host has no IPv4 substrate address")                                            \
	REASON(28, REWRITE_FAILED, "The kernel refused to change the packet (memory, or offsets that contradict it)") \
	REASON(29, CONNECTION_BUDGET, "The interface holds as many connections as it may, and the packet would begin one more")        \
	REASON(30, CONNECTION_TABLE, "The kernel refused an element for a new connection: the host's table is full, or memory") \
	REASON(31, INTERFACE_DISABLED, "The interface is switched off (`disabled`): everything that it sends, and everything for it")                          \
	REASON(32, CONNECTION_SHARE, "The interface holds its share of the host's connections and more, and too little is left to all for one more of it")

enum drop_reason {
	DROP_NONE = 0,
#define PLENUM_ENUMERATE(number, name, text) DROP_##name = number,
	PLENUM_DROP_REASONS(PLENUM_ENUMERATE)
#undef PLENUM_ENUMERATE
};

/* Room for reasons to come without a new schema. */
#define DROP_SLOTS 64

#endif
