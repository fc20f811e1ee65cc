import { hasCode } from "../errno.ts";
import { AF_INET6 } from "../libc.ts";
import { addressText, prefixBytes } from "./address-bytes.ts";
import { attribute, Attributes, NLM_F_CREATE, NLM_F_EXCL, u32 } from "./codec.ts";
import type { NetlinkSocket } from "./socket.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_NOPREFIXROUTE = 0x200;

export interface InterfaceAddress {
  ifindex: number;
  /** "10.0.0.5/24". */
  prefix: string;
}

/** struct ifaddrmsg and the address. */
function body(ifindex: number, cidr: string, flags: number): Buffer {
  const { family, bytes, length } = prefixBytes(cidr);
  const header = Buffer.alloc(8);
  header.writeUInt8(family, 0);
  header.writeUInt8(length, 1);
  header.writeUInt32LE(ifindex, 4);
  return Buffer.concat([header, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes), u32(IFA_FLAGS, flags)]);
}

export interface AddressOptions {
  /** False: the kernel adds no route to the prefix by itself. */
  prefixRoute?: boolean;
}

/** Adds "10.0.0.5/24"; one that is there already stays. An IPv6 address is usable at once (no duplicate detection, D11). */
export function addAddress(nl: NetlinkSocket, ifindex: number, cidr: string, options: AddressOptions = {}): void {
  const { family } = prefixBytes(cidr);
  const flags = (family === AF_INET6 ? IFA_F_NODAD : 0) | (options.prefixRoute === false ? IFA_F_NOPREFIXROUTE : 0);
  try {
    nl.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body(ifindex, cidr, flags), `add address ${cidr} to device ${ifindex}`);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}

/** Not there: no effect. */
export function deleteAddress(nl: NetlinkSocket, ifindex: number, cidr: string): void {
  try {
    nl.change(RTM_DELADDR, 0, body(ifindex, cidr, 0), `delete address ${cidr} from device ${ifindex}`);
  } catch (error) {
    if (!hasCode(error, "EADDRNOTAVAIL")) throw error;
  }
}

/** All addresses of the namespace, or of one device. */
export function getAddresses(nl: NetlinkSocket, ifindex?: number): InterfaceAddress[] {
  return nl
    .dump(RTM_GETADDR, Buffer.alloc(8), "list addresses")
    .map(({ body: answer }) => {
      const attributes = new Attributes(answer.subarray(8));
      // On a point-to-point device ADDRESS is the other side's; LOCAL, where present, is ours.
      const bytes = attributes.bytes(IFA_LOCAL) ?? attributes.bytes(IFA_ADDRESS) ?? Buffer.alloc(4);
      return { ifindex: answer.readUInt32LE(4), prefix: `${addressText(bytes)}/${answer.readUInt8(1)}` };
    })
    .filter((address) => ifindex === undefined || address.ifindex === ifindex);
}
