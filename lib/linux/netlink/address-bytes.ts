import { isIPv4, isIPv6 } from "node:net";
import { Address6 } from "ip-address";
import { AF_INET, AF_INET6 } from "../libc.ts";

/** An address as the kernel takes it. */
export interface AddressBytes {
  family: typeof AF_INET | typeof AF_INET6;
  bytes: Uint8Array;
}

export interface Prefix extends AddressBytes {
  /** 0..32 or 0..128. */
  length: number;
}

/** "10.0.0.5" or "fd00::5". @throws RangeError */
export function addressBytes(text: string): AddressBytes {
  if (isIPv4(text)) return { family: AF_INET, bytes: Uint8Array.from(text.split(".").map(Number)) };
  if (isIPv6(text) && !text.includes("%")) return { family: AF_INET6, bytes: Uint8Array.from(new Address6(text).toUnsignedByteArray()) };
  throw new RangeError(`not an IP address: ${JSON.stringify(text)}`);
}

/** "10.0.0.5/24"; without a length the whole address counts. Host bits are kept. @throws RangeError */
export function prefixBytes(text: string): Prefix {
  const [address = "", length, more] = text.split("/");
  const parsed = addressBytes(address);
  const longest = parsed.bytes.length * 8;
  const bits = length === undefined ? longest : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
  if (more !== undefined || !(bits <= longest)) throw new RangeError(`not an IP prefix: ${JSON.stringify(text)}`);
  return { ...parsed, length: bits };
}

/** The network of a prefix: host bits zeroed ("10.0.0.5/24" → 10.0.0.0, 24). */
export function networkOf(prefix: Prefix): Prefix {
  const bytes = prefix.bytes.map((byte, i) => {
    const bits = Math.min(8, Math.max(0, prefix.length - i * 8));
    return byte & (0xff << (8 - bits));
  });
  return { ...prefix, bytes };
}

/** Text form of 4 or 16 bytes; IPv6 as RFC 5952 writes it. */
export function addressText(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : Address6.fromByteArray([...bytes]).correctForm();
}

/** Bytes of "02:00:00:00:00:01". @throws RangeError */
export function macBytes(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new RangeError(`not a MAC address: ${JSON.stringify(text)}`);
  return Uint8Array.from(text.split(":").map((octet) => parseInt(octet, 16)));
}

export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** "10.0.0.5/24" → "10.0.0.0/24", in the one form that answers of the kernel have here too. @throws RangeError */
export function networkText(cidr: string): string {
  const { bytes, length } = networkOf(prefixBytes(cidr));
  return `${addressText(bytes)}/${length}`;
}

/** "10.0.0.5/24", "FD00:0::5/64" → "10.0.0.5/24", "fd00::5/64": the form in which addresses can be compared. @throws RangeError */
export function prefixText(cidr: string): string {
  const { bytes, length } = prefixBytes(cidr);
  return `${addressText(bytes)}/${length}`;
}
