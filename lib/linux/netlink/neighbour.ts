import { addressBytes, macBytes } from "./address-bytes.ts";
import { attribute, NLM_F_CREATE, NLM_F_REPLACE } from "./codec.ts";
import type { NetlinkSocket } from "./socket.ts";

const RTM_NEWNEIGH = 28;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_PERMANENT = 0x80;

/** A neighbour entry that never ages; replaces what was there for the address. */
export function addNeighbour(nl: NetlinkSocket, ifindex: number, address: string, mac: string): void {
  const { family, bytes } = addressBytes(address);
  const header = Buffer.alloc(12); // struct ndmsg
  header.writeUInt8(family, 0);
  header.writeInt32LE(ifindex, 4);
  header.writeUInt16LE(NUD_PERMANENT, 8);
  const body = Buffer.concat([header, attribute(NDA_DST, bytes), attribute(NDA_LLADDR, macBytes(mac))]);
  nl.change(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body, `neighbour ${address} at ${mac} on device ${ifindex}`);
}
