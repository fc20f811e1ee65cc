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

const WHOLE_V4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/32)?$/;

/** Writes what `addressKey` returns; several times faster for IPv4, since a network may have a million. @throws RangeError */
export function writeAddressKey(text: IpText, into: Buffer, at: number): void {
  const [, a, b, c, d] = WHOLE_V4.exec(text) ?? [];
  const octets = a === undefined ? undefined : [Number(a), Number(b), Number(c), Number(d)];
  if (octets === undefined || octets.some((octet) => octet > 255)) {
    into.set(addressKey(text), at);
    return;
  }
  into.set(V4_IN_16, at);
  into.set(octets, at + V4_IN_16.length);
}

/** Network and mask of a prefix ("10.0.0.0/24"), for the comparison (address & mask) == network. @throws RangeError */
export function networkKey(cidr: IpText): { family: 4 | 6; network: Buffer; mask: Buffer } {
  const prefix = prefixBytes(cidr);
  const family = prefix.bytes.length === 4 ? 4 : 6;
  const ones = networkOf({ ...prefix, bytes: prefix.bytes.map(() => 0xff) });
  const mask = in16(ones.bytes);
  if (family === 4) mask.fill(0xff, 0, 12);
  return { family, network: in16(networkOf(prefix).bytes), mask };
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
