import { isIPv4 } from "node:net";
import * as linux from "#lib/linux/index.ts";
import type { IpText, Underlay, UnderlayState } from "../../core/ports.ts";
import { closeToHost } from "./guest-network.ts";

export const TUNNEL_DEVICE = "plenum0";

/** What VXLAN adds to an IP packet (D12): outer IP 20 or 40, UDP 8, VXLAN 8, inner Ethernet 14. */
export function tunnelOverhead(hostAddress: IpText): number {
  return isIPv4(hostAddress) ? 50 : 70;
}

export interface VxlanUnderlayOptions {
  /** This host's substrate address, without a prefix length. */
  hostAddress: IpText;
  /** Path of the host's namespace; the calling thread's own if absent. */
  hostNamespace?: string;
}

/** One VXLAN device in external mode: programs name VNI and remote for every packet, so a network costs no device. */
export class VxlanUnderlay implements Underlay {
  readonly #hostAddress: IpText;
  readonly #hostNamespace: string;

  constructor(options: VxlanUnderlayOptions) {
    this.#hostAddress = options.hostAddress;
    this.#hostNamespace = options.hostNamespace ?? linux.OWN_NAMESPACE;
  }

  look(): UnderlayState {
    return linux.withNetlink(this.#hostNamespace, (nl) => {
      const substrate = this.#holder(nl);
      const guestMtu = substrate && substrate.mtu - tunnelOverhead(this.#hostAddress);
      const tunnel = linux.getLink(nl, TUNNEL_DEVICE);
      const right = tunnel?.up === true && linux.isVxlanExternal(tunnel) && (guestMtu === undefined || tunnel.mtu === guestMtu);
      return { deviceTrouble: this.#trouble(substrate), guestMtu, tunnelIfindex: right ? tunnel.ifindex : undefined };
    });
  }

  /** One that is right stays as it is, with what passes through it. @throws Error as substrateMtu; KernelError EEXIST: port 4789 taken */
  ensureTunnel(): number {
    return linux.withNetlink(this.#hostNamespace, (nl) => {
      const mtu = this.#substrate(nl).mtu - tunnelOverhead(this.#hostAddress);
      let link = linux.getLink(nl, TUNNEL_DEVICE);
      if (link !== undefined && !linux.isVxlanExternal(link)) {
        linux.deleteLink(nl, link.ifindex);
        link = undefined;
      }
      if (link === undefined) {
        linux.createVxlanExternal(nl, TUNNEL_DEVICE);
        link = linux.getLink(nl, TUNNEL_DEVICE);
      }
      if (link === undefined) throw new Error(`${TUNNEL_DEVICE} vanished while it was being made`);
      if (link.mtu !== mtu) linux.setLink(nl, link.ifindex, { mtu }); // before its settings: see VethDevices
      linux.withNamespace(this.#hostNamespace, () => closeToHost(TUNNEL_DEVICE));
      if (!link.up) linux.setLink(nl, link.ifindex, { up: true });
      return link.ifindex;
    });
  }

  /** @throws Error if no device of the host holds its substrate address */
  substrateMtu(): number {
    return linux.withNetlink(this.#hostNamespace, (nl) => this.#substrate(nl).mtu);
  }

  #substrate(nl: linux.NetlinkSocket): linux.Link {
    const link = this.#holder(nl);
    if (link === undefined) throw new Error(this.#trouble(link));
    return link;
  }

  #holder(nl: linux.NetlinkSocket): linux.Link | undefined {
    const wanted = linux.prefixText(this.#hostAddress).split("/")[0];
    const holder = linux.getAddresses(nl).find((address) => address.prefix.split("/")[0] === wanted);
    return holder && linux.getLink(nl, holder.ifindex);
  }

  #trouble(link: linux.Link | undefined): string | undefined {
    if (link === undefined) return `no device of this host holds its substrate address ${this.#hostAddress}`;
    if (!link.up) return `device ${link.name}, which holds the substrate address, is down: set it up`;
    return link.carrier
      ? undefined
      : `device ${link.name}, which holds the substrate address, has no carrier: see to its cable or its other end`;
  }
}
