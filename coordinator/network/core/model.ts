/** A VPC as it is kept. Lengths and ranges: see plenum.network.v1. */
export interface Vpc {
  readonly vpcId: string;
  readonly ownerAccount: string;
  readonly name: string;
  /** IPv4, host bits zero. */
  readonly cidrBlock: string;
  /** Of the frontnet, in the mapping service (D1). Never reused. */
  readonly networkId: bigint;
  /** On the wire, 4096 to 2^24 − 1. Never reused. */
  readonly vni: number;
  readonly defaultSecurityGroupId: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Row version; the etag is its text. */
  readonly version: bigint;
  readonly createTime: Date;
  /** Principal. */
  readonly createdBy: string;
}

/** A subnet, with what its interfaces need to know of the VPC. */
export interface Subnet {
  readonly subnetId: string;
  readonly vpcId: string;
  readonly ownerAccount: string;
  readonly name: string;
  /** IPv4, host bits zero. */
  readonly cidrBlock: string;
  /** Empty: any zone. */
  readonly zoneId: string;
  readonly version: bigint;
  readonly createTime: Date;
  /** Principal. */
  readonly createdBy: string;
  /** Of its VPC. */
  readonly networkId: bigint;
  /** Of its VPC. */
  readonly vni: number;
  /** Of its VPC. */
  readonly defaultSecurityGroupId: string;
}

export type RuleDirection = "ingress" | "egress";
/** By number (1 to 255) where it has no name here. */
export type RuleProtocol = "any" | "icmp" | "tcp" | "udp" | number;

/** One allow rule. Its other side is a block or a group of the same VPC; the one that it is not is empty. */
export interface Rule {
  readonly direction: RuleDirection;
  readonly protocol: RuleProtocol;
  /** Destination port or ICMP type, inclusive. Both 0: all. */
  readonly portFrom: number;
  readonly portTo: number;
  /** Block of the other side. */
  readonly cidr: string;
  /** Whoever carries this group is the other side. Absent in rules kept before groups could be named. */
  readonly groupId?: string;
  readonly description: string;
}

export interface SecurityGroup {
  readonly securityGroupId: string;
  readonly vpcId: string;
  readonly ownerAccount: string;
  readonly name: string;
  readonly description: string;
  readonly rules: readonly Rule[];
  readonly version: bigint;
  readonly createTime: Date;
  /** Principal. */
  readonly createdBy: string;
}

/** An interned set of groups and the rules that it means now (D2, D5). Both numbers: 1 to 2^32 − 1, never reused. */
export interface GroupSet {
  readonly groupSetId: number;
  readonly rulesetId: number;
}

/** Something that keeps another thing from being deleted. A caller who may not see it is told that it is there, not what it is. */
export interface Blocker {
  readonly kind: string;
  readonly id: string;
  readonly ownerAccount: string;
  readonly grants?: readonly { readonly accountId: string; readonly action: string }[];
  /** What takes it out of the way, as an order ("delete that subnet"). */
  readonly remedy: string;
}

/** All that keeps a thing from being deleted: some by name, the rest by number. */
export interface Blockers {
  readonly named: readonly Blocker[];
  readonly more: number;
}
