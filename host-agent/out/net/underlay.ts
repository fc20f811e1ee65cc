import { isIPv4 } from "node:net";
import * as linux from "#lib/linux/index.ts";
import type { IpText, Underlay } from "../../core/ports.ts";
import { quietIpv6 } from "./guest-network.ts";

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
      linux.withNamespace(this.#hostNamespace, () => quietIpv6(TUNNEL_DEVICE, true));
      if (!link.up || link.mtu !== mtu) linux.setLink(nl, link.ifindex, { up: true, mtu });
      return link.ifindex;
    });
  }

  /** @throws Error if no device of the host holds its substrate address */
  substrateMtu(): number {
    return linux.withNetlink(this.#hostNamespace, (nl) => this.#substrate(nl).mtu);
  }

  #substrate(nl: linux.NetlinkSocket): linux.Link {
    const wanted = linux.prefixText(this.#hostAddress).split("/")[0];
    const holder = linux.getAddresses(nl).find((address) => address.prefix.split("/")[0] === wanted);
    const link = holder && linux.getLink(nl, holder.ifindex);
    if (link === undefined) throw new Error(`no device of this host holds its substrate address ${this.#hostAddress}`);
    return link;
  }
}
