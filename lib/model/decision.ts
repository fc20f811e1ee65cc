import type { DropReason } from "./drop-reason.ts";
import type { MeterChange } from "./metering.ts";

/** What becomes of a packet. */
export type Decision = Drop | Answered | Tunnelled | Delivered;

/** It ends here, under a number (D19). */
export interface Drop {
  readonly verdict: "drop";
  readonly reason: DropReason;
  /** Wire id of the interface whose counter rises; HOST: the host's own. */
  readonly countedFor: number;
}

/** Wire id under which a host counts what concerns no interface. */
export const HOST = 0;

/** It ends here and its sender hears of it: an ARP reply, or "too long, this much fits", which is counted as a drop too. */
export type Answered =
  | { readonly verdict: "arp-reply"; readonly wireId: number; readonly ifindex: number; readonly ethernet: Addresses }
  | {
      readonly verdict: "too-big";
      readonly reason: "TOO_BIG_ANSWERED";
      readonly countedFor: number;
      readonly ifindex: number;
      readonly mtu: number;
      readonly ethernet: Addresses;
    };

/** Ethernet addresses that the packet leaves with. */
export interface Addresses {
  readonly destination: string;
  readonly source: string;
}

/** On to another host. */
export interface Tunnelled {
  readonly verdict: "tunnel";
  readonly wireId: number;
  readonly ifindex: number;
  readonly vni: number;
  /** Substrate address of the other host. */
  readonly remote: string;
  readonly targetWireId: number;
  /** The sender's, which travels with the packet (D2). */
  readonly groupSetId: number;
  readonly ethernet: Addresses;
  readonly meters: readonly MeterChange[];
}

/** Into an instance on this host. */
export interface Delivered {
  readonly verdict: "deliver";
  readonly ifindex: number;
  readonly device: "veth" | "tap";
  readonly vni: number;
  readonly targetWireId: number;
  readonly groupSetId: number;
  readonly ethernet: Addresses;
  readonly meters: readonly MeterChange[];
}

export function drop(reason: DropReason, countedFor: number): Drop {
  return { verdict: "drop", reason, countedFor };
}
