import { isIPv4 } from "node:net";
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

const [DOT, ZERO] = [46, 48];

/** Writes what `addressKey` returns; many times faster for IPv4, since a network may have a million. @throws RangeError */
export function writeAddressKey(text: IpText, into: Buffer, at: number): void {
  const end = text.endsWith("/32") ? text.length - 3 : text.length;
  const start = at + V4_IN_16.length;
  let octets = 0;
  let octet = 0;
  let digits = 0;
  for (let i = 0; i <= end; i++) {
    const code = i === end ? DOT : text.charCodeAt(i);
    if (code === DOT && digits > 0 && octet <= 255 && octets < 4) {
      into[start + octets++] = octet;
      octet = digits = 0;
    } else if (code >= ZERO && code < ZERO + 10 && digits < 3) {
      octet = octet * 10 + code - ZERO;
      digits++;
    } else {
      octets = 5; // no such text: `addressKey` says what it is
      break;
    }
  }
  if (octets === 4) V4_IN_16.copy(into, at);
  else into.set(addressKey(text), at);
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

/** "10.0.0.5/32" or "fd00::5/128". */
export function keyPrefixText(bytes: Buffer): IpText {
  const text = keyText(bytes);
  return `${text}/${isIPv4(text) ? 32 : 128}`;
}
