import { be16, u8 } from "./codec.ts";
import { createLink, type Link } from "./link.ts";
import type { NetlinkSocket } from "./socket.ts";

const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_COLLECT_METADATA = 25;

/** The port IANA gave VXLAN. */
export const VXLAN_PORT = 4789;

/**
 * A VXLAN device without a network of its own: the program that sends through it names VNI and remote for each packet, and reads them
 * from each that arrives. Down when made. One such device per port and namespace (EEXIST otherwise).
 */
export function createVxlanExternal(nl: NetlinkSocket, name: string, port = VXLAN_PORT): void {
  createLink(nl, name, "vxlan", [u8(IFLA_VXLAN_COLLECT_METADATA, 1), u8(IFLA_VXLAN_LEARNING, 0), be16(IFLA_VXLAN_PORT, port)]);
}

/** True for a device that createVxlanExternal made, or one just like it. */
export function isVxlanExternal(link: Link, port = VXLAN_PORT): boolean {
  return (
    link.kind === "vxlan" &&
    link.data?.u8(IFLA_VXLAN_COLLECT_METADATA) === 1 &&
    link.data.u8(IFLA_VXLAN_LEARNING) === 0 &&
    link.data.be16(IFLA_VXLAN_PORT) === port
  );
}
