import { addressBytes, macBytes } from "#lib/linux/netlink/address-bytes.ts";

/** Builders of packets for tests, written from the RFCs. Addresses in text; lengths and checksums are right unless overridden. */

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd };

export function ethernet(h: { dst: string; src: string; type?: number }, payload: Uint8Array): Buffer {
  return Buffer.concat([macBytes(h.dst), macBytes(h.src), be16(h.type ?? ETHERTYPE.ipv4), payload]);
}

/** Content of an 802.1Q frame (type ETHERTYPE.vlan). */
export function vlanTag(id: number, type: number, payload: Uint8Array): Buffer {
  return Buffer.concat([be16(id), be16(type), payload]);
}

export interface ArpFields {
  operation?: number;
  senderMac: string;
  sender: string;
  target: string;
}

export function arp(f: ArpFields): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, f.operation ?? 1]);
  return Buffer.concat([head, macBytes(f.senderMac), v4(f.sender), Buffer.alloc(6), v4(f.target)]);
}

export interface Ipv4Fields {
  src: string;
  dst: string;
  protocol: number;
  dontFragment?: boolean;
  moreFragments?: boolean;
  /** In bytes, a multiple of 8. */
  fragmentOffset?: number;
  /** By default 7. */
  identification?: number;
  /** A wrong one, to test with. */
  totalLength?: number;
}

export function ipv4(f: Ipv4Fields, payload: Uint8Array): Buffer {
  const flags = (f.dontFragment ? 0x4000 : 0) | (f.moreFragments ? 0x2000 : 0) | ((f.fragmentOffset ?? 0) / 8);
  const head = Buffer.concat([
    Buffer.from([0x45, 0]),
    be16(f.totalLength ?? 20 + payload.length),
    be16(f.identification ?? 7),
    be16(flags),
  ]);
  const rest = Buffer.concat([Buffer.from([64, f.protocol]), be16(0), v4(f.src), v4(f.dst)]);
  const header = Buffer.concat([head, rest]);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

export function udp(from: number, to: number, payload: Uint8Array): Buffer {
  return Buffer.concat([be16(from), be16(to), be16(8 + payload.length), be16(0), payload]);
}

/** A TCP SYN; the checksum counts the pseudo header, so the addresses are needed. */
export function tcpSyn(ends: { src: string; dst: string }, from: number, to: number, options: Uint8Array = new Uint8Array()): Buffer {
  const offset = ((20 + options.length) / 4) << 4;
  const fixed = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, offset, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
  const header = Buffer.concat([be16(from), be16(to), fixed, options]);
  header.writeUInt16BE(checksum(Buffer.concat([pseudo(ends, 6, header.length), header])), 16);
  return header;
}

/** True if a TCP segment's checksum is right for its addresses. */
export function tcpChecksumRight(ends: { src: string; dst: string }, segment: Buffer): boolean {
  return checksum(Buffer.concat([pseudo(ends, 6, segment.length), segment])) === 0;
}

export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, ack: 16 };

/** A TCP segment without payload; its checksum is 0, which no program here looks at. */
export function tcp(from: number, to: number, flags: number): Buffer {
  return Buffer.concat([be16(from), be16(to), Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0])]);
}

export function icmpEcho(payload: Uint8Array = new Uint8Array(), { identifier = 1, reply = false } = {}): Buffer {
  return icmp(reply ? 0 : 8, Buffer.concat([be16(identifier), be16(1), payload]));
}

/** `rest`: what follows the checksum. */
export function icmp(type: number, rest: Uint8Array, code = 0): Buffer {
  const message = Buffer.concat([Buffer.from([type, code, 0, 0]), rest]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** "Port unreachable" about an IPv4 packet. */
export function icmpUnreachable(about: Buffer): Buffer {
  return icmp(3, Buffer.concat([Buffer.alloc(4), about.subarray(0, 28)]), 3);
}

/** RFC 7348 header and the inner frame. */
export function vxlan(vni: number, frame: Uint8Array): Buffer {
  const header = Buffer.from([0x08, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUIntBE(vni, 4, 3);
  return Buffer.concat([header, frame]);
}

/** The inner MAC of D2, as the decision describes it. */
export function wireMac(id: number): string {
  const hex = id.toString(16).padStart(8, "0");
  return `02:${hex.match(/../g)?.join(":")}:00`;
}

/** RFC 1071; 0 over data that carries its right sum. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  bytes.forEach((byte, i) => (sum += i % 2 === 0 ? byte << 8 : byte));
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function pseudo(ends: { src: string; dst: string }, protocol: number, length: number): Buffer {
  return Buffer.concat([v4(ends.src), v4(ends.dst), Buffer.from([0, protocol]), be16(length)]);
}

function v4(text: string): Uint8Array {
  return addressBytes(text).bytes;
}

function be16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16BE(value);
  return buffer;
}
