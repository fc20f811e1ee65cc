// Generated from the compiled BPF object by host-agent/out/datapath/generate-layout.ts; never edited (D27).

/** Hash over all maps and what they hold; names the pin directory. */
export const SCHEMA = "b7cb937d5074";

/** Sizes in bytes. */
export const MAPS = {
  budgets: { type: 1, flags: 1, maxEntries: 65536, keySize: 4, valueSize: 24, value: "connection_budget" },
  common: { type: 2, flags: 0, maxEntries: 1, keySize: 4, valueSize: 8, value: "connection_common" },
  connections: { type: 1, flags: 1, maxEntries: 1048576, keySize: 44, valueSize: 80, key: "connection_key", value: "connection" },
  drops: { type: 5, flags: 1, maxEntries: 65537, keySize: 4, valueSize: 520, value: "drop_counters" },
  endpoints: { type: 1, flags: 1, maxEntries: 65536, keySize: 4, valueSize: 312, value: "endpoint" },
  epochs: { type: 1, flags: 1, maxEntries: 1, keySize: 4, valueSize: 8, value: "counter_epoch" },
  fragments: { type: 9, flags: 0, maxEntries: 16384, keySize: 40, valueSize: 64, key: "fragment_key", value: "fragment" },
  host: { type: 2, flags: 0, maxEntries: 1, keySize: 4, valueSize: 44, value: "host_config" },
  mappings: { type: 1, flags: 1, maxEntries: 1048576, keySize: 20, valueSize: 44, key: "mapping_key", value: "mapping" },
  meters: { type: 5, flags: 1, maxEntries: 131072, keySize: 16, valueSize: 32, key: "meter_key", value: "meter" },
  ports: { type: 1, flags: 1, maxEntries: 65536, keySize: 4, valueSize: 4 },
  rule_groups: { type: 1, flags: 1, maxEntries: 262144, keySize: 12, valueSize: 48, key: "rule_group_key", value: "rule_group" },
  rule_peers: { type: 11, flags: 1, maxEntries: 1048576, keySize: 28, valueSize: 40, key: "rule_peer_key", value: "rule_peer" },
  rule_ports: { type: 11, flags: 1, maxEntries: 1048576, keySize: 12, valueSize: 48, key: "rule_ports_key", value: "rule_ports" },
  rulesets: { type: 1, flags: 1, maxEntries: 65536, keySize: 4, valueSize: 16, value: "ruleset" },
  scratch: { type: 6, flags: 0, maxEntries: 1, keySize: 4, valueSize: 512, value: "scratch_room" },
  senders: { type: 1, flags: 1, maxEntries: 262144, keySize: 20, valueSize: 20, key: "sender_key", value: "sender" },
  sweeper: { type: 2, flags: 0, maxEntries: 1, keySize: 4, valueSize: 24, value: "connection_sweeper" },
  untimed: { type: 1, flags: 1, maxEntries: 262144, keySize: 44, valueSize: 44, key: "connection_key", value: "connection_untimed" },
} as const;

/** Sizes and offsets in bytes. */
export const STRUCTS = {
  addr: {
    fields: {
      w: { offset: 0, size: 16, length: 4 },
    },
    size: 16,
  },
  bpf_timer: {
    fields: {},
    size: 16,
  },
  connection: {
    fields: {
      state: { offset: 0, size: 64, struct: "connection_state" },
      timer: { offset: 64, size: 16, struct: "bpf_timer" },
    },
    size: 80,
  },
  connection_budget: {
    fields: {
      count: { offset: 8, size: 8 },
      limit: { offset: 4, size: 4 },
      reserved: { offset: 20, size: 4 },
      share: { offset: 16, size: 4 },
      wire_id: { offset: 0, size: 4 },
    },
    size: 24,
  },
  connection_common: {
    fields: {
      taken: { offset: 0, size: 8 },
    },
    size: 8,
  },
  connection_effect: {
    fields: {
      flags: { offset: 52, size: 4 },
      key: { offset: 0, size: 44, struct: "connection_key" },
      op: { offset: 56, size: 4 },
      peer_group_set: { offset: 48, size: 4 },
      ruleset_id: { offset: 44, size: 4 },
    },
    size: 60,
  },
  connection_key: {
    fields: {
      direction: { offset: 4, size: 1 },
      dport: { offset: 42, size: 2 },
      dst: { offset: 24, size: 16, struct: "addr" },
      protocol: { offset: 5, size: 1 },
      reserved: { offset: 6, size: 2 },
      sport: { offset: 40, size: 2 },
      src: { offset: 8, size: 16, struct: "addr" },
      wire_id: { offset: 0, size: 4 },
    },
    size: 44,
  },
  connection_state: {
    fields: {
      flags: { offset: 52, size: 4 },
      key: { offset: 0, size: 44, struct: "connection_key" },
      last_seen: { offset: 56, size: 8 },
      peer_group_set: { offset: 48, size: 4 },
      ruleset_id: { offset: 44, size: 4 },
    },
    size: 64,
  },
  connection_sweeper: {
    fields: {
      reserved: { offset: 20, size: 4 },
      running: { offset: 16, size: 4 },
      timer: { offset: 0, size: 16, struct: "bpf_timer" },
    },
    size: 24,
  },
  connection_untimed: {
    fields: {
      key: { offset: 0, size: 44, struct: "connection_key" },
    },
    size: 44,
  },
  counter_epoch: {
    fields: {
      epoch: { offset: 0, size: 8 },
    },
    size: 8,
  },
  decision: {
    fields: {
      device: { offset: 52, size: 4 },
      egress: { offset: 80, size: 60, struct: "connection_effect" },
      egress_meter: { offset: 16, size: 8 },
      eth_dst: { offset: 68, size: 6 },
      eth_src: { offset: 74, size: 6 },
      group_set_id: { offset: 60, size: 4 },
      ifindex: { offset: 48, size: 4 },
      ingress: { offset: 140, size: 60, struct: "connection_effect" },
      ingress_meter: { offset: 24, size: 8 },
      mtu: { offset: 64, size: 4 },
      reason: { offset: 4, size: 4 },
      remote: { offset: 32, size: 16, struct: "addr" },
      target_wire_id: { offset: 56, size: 4 },
      verdict: { offset: 0, size: 4 },
      vni: { offset: 12, size: 4 },
      wire_id: { offset: 8, size: 4 },
    },
    size: 200,
  },
  drop_counters: {
    fields: {
      count: { offset: 0, size: 512, length: 64 },
      epoch: { offset: 512, size: 8 },
    },
    size: 520,
  },
  endpoint: {
    fields: {
      addresses: { offset: 56, size: 256, struct: "addr", length: 16 },
      config: { offset: 0, size: 56, struct: "endpoint_config" },
    },
    size: 312,
  },
  endpoint_config: {
    fields: {
      address_count: { offset: 52, size: 4 },
      device: { offset: 20, size: 4 },
      flags: { offset: 24, size: 4 },
      gateway_mac: { offset: 46, size: 6 },
      group_set_id: { offset: 16, size: 4 },
      guest_mac: { offset: 40, size: 6 },
      guest_mtu: { offset: 28, size: 4 },
      ifindex: { offset: 8, size: 4 },
      meter_id: { offset: 32, size: 8 },
      ruleset_id: { offset: 12, size: 4 },
      vni: { offset: 4, size: 4 },
      wire_id: { offset: 0, size: 4 },
    },
    size: 56,
  },
  flow: {
    fields: {
      dport: { offset: 34, size: 2 },
      dst: { offset: 16, size: 16, struct: "addr" },
      flags: { offset: 36, size: 2 },
      protocol: { offset: 38, size: 1 },
      reserved: { offset: 39, size: 1 },
      sport: { offset: 32, size: 2 },
      src: { offset: 0, size: 16, struct: "addr" },
    },
    size: 40,
  },
  fragment: {
    fields: {
      dport: { offset: 44, size: 2 },
      flags: { offset: 46, size: 2 },
      key: { offset: 0, size: 40, struct: "fragment_key" },
      port: { offset: 40, size: 2 },
      reserved: { offset: 48, size: 4 },
      seen: { offset: 56, size: 8 },
      sport: { offset: 42, size: 2 },
    },
    size: 64,
  },
  fragment_key: {
    fields: {
      dst: { offset: 20, size: 16, struct: "addr" },
      identification: { offset: 36, size: 2 },
      protocol: { offset: 38, size: 1 },
      reserved: { offset: 39, size: 1 },
      src: { offset: 4, size: 16, struct: "addr" },
      vni: { offset: 0, size: 4 },
    },
    size: 40,
  },
  host_config: {
    fields: {
      address: { offset: 0, size: 16, struct: "addr" },
      common: { offset: 40, size: 4 },
      idle: { offset: 20, size: 20, struct: "idle_ms" },
      tunnel_ifindex: { offset: 16, size: 4 },
    },
    size: 44,
  },
  idle_ms: {
    fields: {
      answered: { offset: 8, size: 4 },
      echo: { offset: 16, size: 4 },
      tcp_answered: { offset: 0, size: 4 },
      tcp_other: { offset: 4, size: 4 },
      unanswered: { offset: 12, size: 4 },
    },
    size: 20,
  },
  mapping: {
    fields: {
      group_set_id: { offset: 40, size: 4 },
      host: { offset: 20, size: 16, struct: "addr" },
      key: { offset: 0, size: 20, struct: "mapping_key" },
      wire_id: { offset: 36, size: 4 },
    },
    size: 44,
  },
  mapping_key: {
    fields: {
      address: { offset: 4, size: 16, struct: "addr" },
      vni: { offset: 0, size: 4 },
    },
    size: 20,
  },
  meter: {
    fields: {
      bytes: { offset: 8, size: 8 },
      packets: { offset: 0, size: 8 },
      raw_bytes: { offset: 16, size: 8 },
      reserved: { offset: 28, size: 4 },
      wire_id: { offset: 24, size: 4 },
    },
    size: 32,
  },
  meter_key: {
    fields: {
      direction: { offset: 8, size: 4 },
      meter_id: { offset: 0, size: 8 },
      reserved: { offset: 12, size: 4 },
    },
    size: 16,
  },
  mss_search: {
    fields: {
      at: { offset: 16, size: 4 },
      len: { offset: 12, size: 4 },
      mss: { offset: 20, size: 4 },
      skb: { offset: 0, size: 8 },
      tcp_at: { offset: 8, size: 4 },
    },
    size: 24,
  },
  packet: {
    fields: {
      dport: { offset: 62, size: 2 },
      dst: { offset: 32, size: 16, struct: "addr" },
      eth_dst: { offset: 0, size: 6 },
      eth_proto: { offset: 12, size: 2 },
      eth_src: { offset: 6, size: 6 },
      flags: { offset: 66, size: 2 },
      flow: { offset: 72, size: 40, struct: "flow" },
      identification: { offset: 64, size: 2 },
      ip_len: { offset: 56, size: 4 },
      l3_len: { offset: 69, size: 1 },
      l4_len: { offset: 70, size: 1 },
      now: { offset: 48, size: 8 },
      port: { offset: 14, size: 2 },
      protocol: { offset: 68, size: 1 },
      query: { offset: 112, size: 32, struct: "rule_query" },
      reserved: { offset: 71, size: 1 },
      sport: { offset: 60, size: 2 },
      src: { offset: 16, size: 16, struct: "addr" },
    },
    size: 144,
  },
  rule_bits: {
    fields: {
      w: { offset: 0, size: 32, length: 4 },
    },
    size: 32,
  },
  rule_group: {
    fields: {
      bits: { offset: 16, size: 32, struct: "rule_bits" },
      key: { offset: 0, size: 12, struct: "rule_group_key" },
      reserved: { offset: 12, size: 4 },
    },
    size: 48,
  },
  rule_group_key: {
    fields: {
      direction: { offset: 4, size: 4 },
      group_set_id: { offset: 8, size: 4 },
      ruleset_id: { offset: 0, size: 4 },
    },
    size: 12,
  },
  rule_peer: {
    fields: {
      bits: { offset: 8, size: 32, struct: "rule_bits" },
      direction: { offset: 4, size: 4 },
      ruleset_id: { offset: 0, size: 4 },
    },
    size: 40,
  },
  rule_peer_key: {
    fields: {
      direction: { offset: 8, size: 1 },
      family: { offset: 9, size: 1 },
      peer: { offset: 12, size: 16, struct: "addr" },
      prefixlen: { offset: 0, size: 4 },
      reserved: { offset: 10, size: 2 },
      ruleset_id: { offset: 4, size: 4 },
    },
    size: 28,
  },
  rule_ports: {
    fields: {
      bits: { offset: 16, size: 32, struct: "rule_bits" },
      direction: { offset: 8, size: 4 },
      reserved: { offset: 12, size: 4 },
      ruleset_id: { offset: 0, size: 4 },
      table: { offset: 4, size: 4 },
    },
    size: 48,
  },
  rule_ports_key: {
    fields: {
      port: { offset: 10, size: 2 },
      prefixlen: { offset: 0, size: 4 },
      protocol: { offset: 9, size: 1 },
      ruleset_id: { offset: 4, size: 4 },
      table: { offset: 8, size: 1 },
    },
    size: 12,
  },
  rule_query: {
    fields: {
      direction: { offset: 4, size: 4 },
      orphan: { offset: 31, size: 1 },
      peer: { offset: 8, size: 16, struct: "addr" },
      peer_group_set: { offset: 24, size: 4 },
      port: { offset: 28, size: 2 },
      protocol: { offset: 30, size: 1 },
      ruleset_id: { offset: 0, size: 4 },
    },
    size: 32,
  },
  ruleset: {
    fields: {
      digest: { offset: 8, size: 8 },
      id: { offset: 0, size: 4 },
      reserved: { offset: 4, size: 4 },
    },
    size: 16,
  },
  scratch_room: {
    fields: {
      words: { offset: 0, size: 512, length: 64 },
    },
    size: 512,
  },
  sender: {
    fields: {
      key: { offset: 0, size: 20, struct: "sender_key" },
    },
    size: 20,
  },
  sender_key: {
    fields: {
      host: { offset: 4, size: 16, struct: "addr" },
      vni: { offset: 0, size: 4 },
    },
    size: 20,
  },
  tunnel_source: {
    fields: {
      present: { offset: 0, size: 4 },
      sender: { offset: 8, size: 16, struct: "addr" },
      vni: { offset: 4, size: 4 },
    },
    size: 24,
  },
} as const;

export const ENUMS = {
  connection_flag: { CONNECTION_ANSWERED: 1, CONNECTION_CLOSING: 2 },
  connection_op: { CONNECTION_NONE: 0, CONNECTION_TOUCH: 1, CONNECTION_BEGIN: 2, CONNECTION_RENEW: 3, CONNECTION_DELETE: 4 },
  device_kind: { DEVICE_VETH: 1, DEVICE_TAP: 2 },
  direction: { DIRECTION_INGRESS: 1, DIRECTION_EGRESS: 2 },
  drop_reason: {
    DROP_NONE: 0,
    DROP_NOT_CONFIGURED: 1,
    DROP_MALFORMED: 2,
    DROP_VLAN_TAG: 3,
    DROP_SOURCE_MAC: 4,
    DROP_SOURCE_ADDRESS: 5,
    DROP_MULTICAST: 6,
    DROP_ETHERTYPE: 7,
    DROP_IPV6_UNSUPPORTED: 8,
    DROP_ARP_SPOOFED: 9,
    DROP_ARP_UNANSWERED: 10,
    DROP_RULE_EGRESS: 11,
    DROP_RULE_INGRESS: 12,
    DROP_FRAGMENT: 13,
    DROP_TOO_BIG_ANSWERED: 14,
    DROP_TOO_BIG: 15,
    DROP_NO_MAPPING: 16,
    DROP_TARGET_CLOSED: 17,
    DROP_TARGET_NETWORK: 18,
    DROP_TARGET_ADDRESS: 19,
    DROP_NO_TUNNEL_KEY: 20,
    DROP_WIRE_HEADER: 21,
    DROP_UNKNOWN_SENDER_HOST: 22,
    DROP_SENDER_NOT_OWNER: 23,
    DROP_RULESET_MISSING: 24,
    DROP_METER_MISSING: 25,
    DROP_HOST_NOT_CONFIGURED: 26,
    DROP_SUBSTRATE_UNSUPPORTED: 27,
    DROP_REWRITE_FAILED: 28,
    DROP_CONNECTION_BUDGET: 29,
    DROP_CONNECTION_TABLE: 30,
    DROP_INTERFACE_DISABLED: 31,
    DROP_CONNECTION_SHARE: 32,
  },
  endpoint_flag: { ENDPOINT_SOURCE_DEST_CHECK: 1, ENDPOINT_DISABLED: 2 },
  rule_ports_table: { RULE_PORTS: 0, RULE_PORTS_ANY: 16 },
  verdict: { VERDICT_DROP: 0, VERDICT_TUNNEL: 1, VERDICT_DELIVER: 2, VERDICT_ARP_REPLY: 3, VERDICT_TOO_BIG: 4 },
} as const;

/** Numbers are given once and never again (D19). */
export const DROP_REASONS = [
  {
    number: 1,
    name: "NOT_CONFIGURED",
    description: "Interface device without a configured endpoint: closed until its configuration is applied (host)",
  },
  { number: 2, name: "MALFORMED", description: "A header is missing, shorter than it says, or contradicts the frame's length" },
  { number: 3, name: "VLAN_TAG", description: "The frame carries a VLAN tag that this interface does not expect" },
  { number: 4, name: "SOURCE_MAC", description: "The guest used a source MAC that is not its interface's" },
  {
    number: 5,
    name: "SOURCE_ADDRESS",
    description: "The guest used a source address that is not its interface's (source/destination check)",
  },
  { number: 6, name: "MULTICAST", description: "Broadcast or multicast" },
  { number: 7, name: "ETHERTYPE", description: "Neither IPv4, IPv6 nor ARP" },
  { number: 8, name: "IPV6_UNSUPPORTED", description: "IPv6 packet; this version forwards IPv4 only" },
  { number: 9, name: "ARP_SPOOFED", description: "ARP request whose sender MAC or sender address is not the interface's" },
  {
    number: 10,
    name: "ARP_UNANSWERED",
    description: "ARP that gets no answer: a probe, an announcement, a question for an own address, or a reply",
  },
  { number: 11, name: "RULE_EGRESS", description: "No egress rule of the interface allows the packet, or what began its connection" },
  { number: 12, name: "RULE_INGRESS", description: "No ingress rule of the interface allows the packet, or what began its connection" },
  {
    number: 13,
    name: "FRAGMENT",
    description: "Later fragment whose first was not seen: it shows no port, and no rule allows all ports of its protocol",
  },
  {
    number: 14,
    name: "TOO_BIG_ANSWERED",
    description: "Longer than the interface's MTU, do-not-fragment set: the guest was sent fragmentation-needed",
  },
  { number: 15, name: "TOO_BIG", description: "Longer than the interface's MTU and no message was due" },
  { number: 16, name: "NO_MAPPING", description: "The destination is no known address of this network" },
  {
    number: 17,
    name: "TARGET_CLOSED",
    description: "The target interface is not open on this host (host for tunnel packets, else the sender)",
  },
  {
    number: 18,
    name: "TARGET_NETWORK",
    description: "The target interface belongs to another network (host for tunnel packets, else the sender)",
  },
  { number: 19, name: "TARGET_ADDRESS", description: "The destination address is not the target interface's (source/destination check)" },
  { number: 20, name: "NO_TUNNEL_KEY", description: "A packet on the tunnel device without IPv4 tunnel metadata (host)" },
  { number: 21, name: "WIRE_HEADER", description: "The inner Ethernet header does not carry ids (host)" },
  { number: 22, name: "UNKNOWN_SENDER_HOST", description: "The outer source is not a host of this network (host)" },
  { number: 23, name: "SENDER_NOT_OWNER", description: "The sending host does not hold the inner source address (host)" },
  { number: 24, name: "RULESET_MISSING", description: "The interface's ruleset is not loaded" },
  { number: 25, name: "METER_MISSING", description: "The interface has no meter: nothing passes unmetered" },
  { number: 26, name: "HOST_NOT_CONFIGURED", description: "The host's own address or tunnel device is not set" },
  { number: 27, name: "SUBSTRATE_UNSUPPORTED", description: "The target host has no IPv4 substrate address" },
  { number: 28, name: "REWRITE_FAILED", description: "The kernel refused to change the packet (memory, or offsets that contradict it)" },
  {
    number: 29,
    name: "CONNECTION_BUDGET",
    description: "The interface holds as many connections as it may, and the packet would begin one more",
  },
  {
    number: 30,
    name: "CONNECTION_TABLE",
    description: "The kernel refused an element for a new connection: the host's table is full, or memory",
  },
  {
    number: 31,
    name: "INTERFACE_DISABLED",
    description: "The interface is switched off (`disabled`): everything that it sends, and everything for it",
  },
  {
    number: 32,
    name: "CONNECTION_SHARE",
    description: "The interface holds its share of the host's connections and more, and too little is left to all for one more of it",
  },
] as const;
