/**
 * What a host has been told: everything that a packet's fate depends on apart from the packet, the clock and earlier packets. The
 * shapes are those of the host agent's ports, so that its data can be given as it is; lib knows no service.
 */
export interface Configuration {
  /** Undefined: the host does not know its own place yet. */
  readonly host: Host | undefined;
  readonly endpoints: readonly Endpoint[];
  /** How many connections the host's table has room for, of all interfaces together. */
  readonly connectionTable: number;
  /** How many of them interfaces may hold beyond their shares, all together. */
  readonly connectionCommon: number;
  /** Meters that were created (D18); a packet that one is missing for does not pass. */
  readonly meterIds: ReadonlySet<bigint>;
  readonly rulesets: readonly Ruleset[];
  readonly mappings: readonly Mapping[];
}

export interface Host {
  /** On the substrate, as mappings name it. */
  readonly address: string;
  readonly tunnelIfindex: number;
}

export type Direction = "ingress" | "egress";

/** One open interface of an instance on this host. */
export interface Endpoint {
  readonly wireId: number;
  readonly vni: number;
  /** Canonical text ("10.0.0.5"). */
  readonly addresses: readonly string[];
  readonly guestMac: string;
  readonly gatewayMac: string;
  readonly ifindex: number;
  readonly device: "veth" | "tap";
  readonly guestMtu: number;
  readonly rulesetId: number;
  readonly groupSetId: number;
  readonly meterId: bigint;
  /** False: a router, which uses and receives any address (D8). */
  readonly sourceDestCheck: boolean;
  /** Switched off: nothing from it and nothing for it passes. */
  readonly disabled: boolean;
  /** Most connections that it may hold. */
  readonly connectionBudget: number;
  /** Of those, how many are its own, whatever others hold. */
  readonly connectionShare: number;
}

export interface Ruleset {
  readonly id: number;
  readonly rules: readonly Rule[];
}

/** One allow rule. */
export interface Rule {
  readonly direction: Direction;
  /** IANA number; 0: any. */
  readonly protocol: number;
  /** Inclusive; of the destination port, or of the type for ICMP. 0..65535: needs no port. */
  readonly portFrom: number;
  readonly portTo: number;
  /** The other side: an address block, or the interned group sets that contain a group. */
  readonly peer: { readonly cidr: string } | { readonly groupSetIds: readonly number[] };
}

/** Where an address of a network lives. */
export interface Mapping {
  readonly vni: number;
  /** Canonical text, a whole address. */
  readonly address: string;
  readonly hostAddress: string;
  readonly wireId: number;
  readonly groupSetId: number;
}

/** The set of groups of somebody nobody has told us of: empty. */
export const NO_GROUPS = 0;

export function mappingOf({ mappings }: Configuration, vni: number, address: string): Mapping | undefined {
  return mappings.find((m) => m.vni === vni && m.address === address);
}
