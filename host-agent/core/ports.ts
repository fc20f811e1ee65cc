/**
 * What the agent asks of the kernel. One fake (host-agent/testing/) and one real implementation (host-agent/out/) each; the same
 * contract tests run on both. Every call is idempotent: the reconciler may repeat it after a crash between any two lines.
 */

/** IPv4 or IPv6 address or prefix in text form ("10.0.0.5", "fd00::1", "10.0.0.0/24"). */
export type IpText = string;

/** Six octets, "02:00:00:00:00:01". */
export type MacText = string;

export type RuleDirection = "ingress" | "egress";

/**
 * The other side of a rule: a block (of sources for ingress, of destinations for egress), or those whose group set is one of these
 * (1..2^32-1). These come and go as long as the rule names their group; one without a name (rules of before this) keeps its sets for ever.
 */
export type RulePeer = { peerCidr: IpText } | { peerGroupId: string; peerGroupSets: readonly number[] };

/**
 * One allow rule: what may begin a connection. Answers need none (docs/design/connections.md). Nothing matches: dropped.
 */
export type Rule = RulePeer & {
  direction: RuleDirection;
  /** IANA protocol number; 0 means any. */
  protocol: number;
  /** Inclusive port range (destination port of the packet), 0..65535; for ICMP: type range. Ignored where protocol has no ports. */
  portFrom: number;
  portTo: number;
};

/** Immutable but for the sets that its peers are: a change of rules is a new id (D5). */
export interface Ruleset {
  /** 1..2^32-1. */
  id: number;
  /** At most 256 a direction. */
  rules: readonly Rule[];
}

/** One interface on one instance, as the data plane sees it. */
export interface Endpoint {
  /** 32-bit wire id of the attachment (D2). */
  wireId: number;
  /** 24-bit VXLAN network identifier. */
  vni: number;
  /** Addresses the guest may send from and receives at; the first IPv4 is primary. */
  addresses: readonly IpText[];
  /** MAC of the guest's device and of the virtual router it sees. */
  guestMac: MacText;
  gatewayMac: MacText;
  /** Host-side device in the host's namespace. */
  ifindex: number;
  device: "veth" | "tap";
  /** What the guest may send at IP level: substrate MTU − 50 (D12). */
  guestMtu: number;
  rulesetId: number;
  groupSetId: number;
  /** D18; never reused. */
  meterId: bigint;
  /** False: the instance may send from and receive for any address (router). */
  sourceDestCheck: boolean;
  /** Switched off: every packet from and for it is dropped. */
  disabled: boolean;
}

/** (network, prefix) → where it lives. Only full-length prefixes (/32, /128) in the skeleton. */
export interface Mapping {
  vni: number;
  prefix: IpText;
  /** Substrate address of the host that holds the attachment. */
  hostAddress: IpText;
  wireId: number;
  groupSetId: number;
}

/** Where a row of a `MappingBatch` has what, in words of 32 bits. */
export const ROW = { address: 0, host: 4, wireId: 5, groupSetId: 6, words: 7 } as const;

/**
 * Mappings of one network without an object each: a network may have a million, and objects would cost more than the kernel's own work.
 * Each address once.
 */
export interface MappingBatch {
  vni: number;
  count: number;
  /** `count` rows; the address in four words (core/address-words.ts), the host by its number in `hosts`. */
  rows: Uint32Array;
  /** Addresses of hosts, four words each. There may be more than are named. */
  hosts: Uint32Array;
}

/** Bytes by the wire formula of D17 and raw skb bytes beside them; cumulative since the meter was created. */
export interface MeterReading {
  meterId: bigint;
  direction: RuleDirection;
  packets: bigint;
  /** What would be on the wire at IP level (D17). */
  bytes: bigint;
  /** Sum of skb->len, for comparison with the kernel's device statistics. */
  rawBytes: bigint;
}

/** Cumulative numbered drops (D19) of one interface; wireId 0 = the host itself (no interface known). */
export interface DropReading {
  wireId: number;
  reason: number;
  reasonName: string;
  packets: bigint;
  /** Another for each counter ever made: an interface that comes back counts from 0 again. Of one that is older than epochs: 0. */
  epoch: bigint;
}

/** The BPF programs and maps of one host. Opening it loads or adopts what is pinned (D21). */
export interface Datapath {
  /** Attach the from-instance program to a device's host side; until an endpoint names the device, it drops everything (D5). */
  guardDevice(ifindex: number): void;
  /** Of these devices, those on which that very program does not run any more, whoever took it away; and those that are gone. */
  unguarded(ifindexes: readonly number[]): number[];
  /** Send through this tunnel device and judge what it receives, in place of the one before. */
  guardTunnel(ifindex: number): void;
  /** Whether `guardTunnel` holds for this device. */
  isTunnelGuarded(ifindex: number): boolean;
  /** Create the meter, drop counters and connection budget of an endpoint, before any traffic (D18) and before its device exists. */
  putMeter(meter: Pick<Endpoint, "wireId" | "meterId">): void;
  /** Make the endpoint's whole configuration effective at once. Its ruleset must be present: throws otherwise. */
  putEndpoint(endpoint: Endpoint): void;
  /** Closed from the next packet on; its connections are worthless and go by themselves. Counters stay until `dropMeter`. Unknown id: no effect. */
  closeEndpoint(wireId: number): void;
  /**
   * The attachment's drop counters go with it, unless `others`: the attachment has another meter still. So does its connection budget, once none
   * of its connections is left.
   */
  dropMeter(wireId: number, meterId: bigint, others?: boolean): void;
  /**
   * Again with other sets as peers: they count from now on. Throws for an id that has other rules, and RangeError for rules that no kernel can
   * hold.
   */
  putRuleset(ruleset: Ruleset): void;
  /** Whether the kernel holds these rules under their id, whatever the sets of their groups are, or others. */
  compareRuleset(ruleset: Ruleset): "same" | "other" | "absent";
  deleteRuleset(id: number): void;
  /**
   * Batched; also keeps the set of authorised sender hosts per VNI (D3). `fresh`: the caller knows that the kernel holds none of these
   * addresses, so that none has to be looked up first.
   */
  putMappings(mappings: MappingBatch, fresh?: boolean): void;
  /** Of these only the addresses count. Those that are not there have no effect. */
  deleteMappings(mappings: MappingBatch): void;
  /** All, or those of these. Unknown ids: nothing. */
  readMeters(meterIds?: readonly bigint[]): MeterReading[];
  /** All, or those of these; only reasons that occurred. */
  readDrops(wireIds?: readonly number[]): DropReading[];
  /**
   * Of which life the meters are: kept as long as there is a meter, another (larger, below 2^63) when all began from nothing, as after a
   * reboot. 0: they are older than epochs. The same for as long as this is open.
   */
  counterEpoch(): bigint;
  /**
   * What the kernel holds now, for reconciliation after a restart. `meters` are all that were put and not dropped, those of closed
   * endpoints too: a meter outlives its endpoint until its last reading is safe (C22), and must be found again after a crash.
   */
  actual(): { endpoints: Endpoint[]; meters: Pick<Endpoint, "wireId" | "meterId">[]; rulesetIds: number[]; mappings: MappingBatch[] };
  /** Releases descriptors; pins, programs and traffic stay. */
  close(): void;
}

/** One instance's namespace and process (D24, driver `netns`). */
export interface InstanceSpec {
  instanceId: string;
  /** argv of a process to run inside, or empty for none. It runs unprivileged (no capability in the initial user namespace). */
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Whom its processes ask for names, in this order. */
  dnsServers: readonly IpText[];
  /** As whom its processes may call the API, and since when, in words of the feed: with others it gets another token. Empty: as nobody. */
  identity: string;
}

export interface InstanceStatus {
  instanceId: string;
  /** Path of its network namespace, usable with `nsenter --net=`. */
  netnsPath: string;
  /** The process: none asked, alive, or ended with a code or signal. */
  process: { state: "none" } | { state: "running"; pid: number } | { state: "exited"; detail: string };
}

export interface InstanceDriver {
  /** Create the namespace (loopback up) if absent; the process is started by `start`, after its interfaces exist. */
  create(spec: InstanceSpec): InstanceStatus;
  /**
   * What the instance's processes read in their /etc/resolv.conf from now on, also those that run: never half of a change. Before `start`.
   * Throws before `create`.
   */
  setDnsServers(instanceId: string, servers: readonly IpText[]): void;
  /**
   * What the instance's processes, and no others, find in their view from now on, also those that run: the API's socket and a token for
   * `identity`, as soon as the coordinator gives one; or nothing. Throws before `create`, and where the host has no way to the API.
   */
  setIdentity(instanceId: string, identity: string): void;
  /** Start the process if asked for and not running. Survives the agent's death. */
  start(spec: InstanceSpec): InstanceStatus;
  /** Takes away what it had of the API, ends the process (TERM, then KILL), removes the namespace. Unknown id: no effect. */
  remove(instanceId: string): Promise<void>;
  list(): InstanceStatus[];
}

/** One guest device: a veth pair between the host's namespace and the instance's. */
export interface DeviceSpec {
  wireId: number;
  instanceId: string;
  /** Order of the interface on the instance; the guest sees `eth<deviceIndex>`. */
  deviceIndex: number;
  guestMac: MacText;
  gatewayMac: MacText;
  guestMtu: number;
  /** Address with the subnet's prefix length ("10.0.1.5/24"). */
  addresses: readonly IpText[];
  /** First address of each subnet; the default route of device 0 goes through it. */
  gateways: readonly IpText[];
}

export interface Device {
  wireId: number;
  instanceId: string;
  ifindex: number;
}

/** A device as it is found. */
export interface FoundDevice extends Device {
  /** Both ends are up. */
  up: boolean;
  /** Of the host's end. */
  mtu: number;
}

export interface Devices {
  /**
   * Make the pair if absent, return its host side. `guard` is called with the host-side ifindex before either side is up, so that
   * no packet can pass unjudged.
   */
  ensure(spec: DeviceSpec, guard: (ifindex: number) => void): Device;
  /** All of them, for the price of little more than one. Unknown ids: no effect. Throws: some may be left. */
  remove(wireIds: readonly number[]): void;
  list(): FoundDevice[];
}

/** What the kernel told of the host's devices since it was last asked. A hint: what is, is read. */
export interface NetworkNews {
  /** Devices that came or changed, as they are now, by ifindex; undefined: it went. */
  links: ReadonlyMap<number, { carrier: boolean; mtu: number } | undefined>;
  /** ifindexes of devices whose programs may be others. */
  filters: ReadonlySet<number>;
  /** Some of it was lost. */
  overrun: boolean;
}

/** How the host's side of the substrate stands, by the kernel's flags (D19). */
export interface UnderlayState {
  /** Why the device with the host's substrate address carries nothing, in words; undefined: it is there and up and has a carrier. */
  deviceTrouble: string | undefined;
  /** What guests may send at IP level over that device, by its MTU (D12); undefined: there is no such device. */
  guestMtu: number | undefined;
  /** The tunnel device, where it is as `ensureTunnel` leaves it: its ifindex. */
  tunnelIfindex: number | undefined;
}

/** The host's side of the substrate. */
export interface Underlay {
  /** Reads, and changes nothing. */
  look(): UnderlayState;
  /** The one external-mode VXLAN device (created if absent, up); returns its ifindex. */
  ensureTunnel(): number;
  /** Substrate MTU of the device that holds the host's substrate address. */
  substrateMtu(): number;
}
