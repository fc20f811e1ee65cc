import { addressText, networkOf, prefixBytes } from "#lib/linux/netlink/address-bytes.ts";
import type { IpText } from "../../core/ports.ts";

/** First 12 bytes of an IPv4 address in 16 (::ffff:a.b.c.d), the one form that maps hold (bpf/addr.h). */
const V4_IN_16 = Buffer.from("00000000000000000000ffff", "hex");

/** A whole address ("10.0.0.5", "10.0.0.5/32", "fd00::5") as maps hold it. @throws RangeError, also for shorter prefixes */
export function addressKey(text: IpText): Buffer {
  const { bytes, length } = prefixBytes(text);
  if (length !== bytes.length * 8) throw new RangeError(`only whole addresses can be mapped, not ${text}`);
  return in16(bytes);
}

/** A block ("10.0.0.0/24"); bits beyond its length are cleared. @throws RangeError */
export function blockOf(cidr: IpText): { family: 4 | 6; network: Uint8Array; length: number } {
  const prefix = prefixBytes(cidr);
  const { bytes } = networkOf(prefix);
  return { family: bytes.length === 4 ? 4 : 6, network: bytes, length: prefix.length };
}

/** A block as the tries hold it: 16 bytes, and the length in them. */
export function blockKey({ network, length }: { network: Uint8Array; length: number }): { network: Buffer; length: number } {
  return { network: in16(network), length: network.length === 4 ? length + 96 : length };
}

function in16(bytes: Uint8Array): Buffer {
  return bytes.length === 4 ? Buffer.concat([V4_IN_16, bytes]) : Buffer.from(bytes);
}

/** "10.0.0.5" or "fd00::5" of a map's 16 bytes. */
export function keyText(bytes: Buffer): IpText {
  return addressText(bytes.subarray(0, 12).equals(V4_IN_16) ? bytes.subarray(12) : bytes);
}
