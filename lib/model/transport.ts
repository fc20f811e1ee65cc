import type { Ipv4 } from "./ipv4.ts";

/** What the header after the IP header shows, as far as rules and connections ask. */
export type Transport =
  | { readonly kind: "ports"; readonly source: number; readonly destination: number; readonly tcp: TcpSigns }
  | { readonly kind: "echo"; readonly reply: boolean; readonly identifier: number }
  | { readonly kind: "icmp-error"; readonly type: number; /** The packet inside, cut short. */ readonly quoted: Buffer }
  | { readonly kind: "icmp"; readonly type: number }
  /** A protocol without ports. */
  | { readonly kind: "portless" }
  /** A later fragment of a protocol that has ports: they are in the first one. */
  | { readonly kind: "hidden" };

/** What a TCP header says of its connection. */
export interface TcpSigns {
  /** SYN without ACK. */
  readonly opening: boolean;
  /** FIN or RST. */
  readonly closing: boolean;
}

export const NO_SIGNS: TcpSigns = { opening: false, closing: false };

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, dccp: 33, sctp: 132, udpLite: 136 } as const;
/** Those of which rules can name a port (ICMP: a type), with the least that must be there of their header. */
const HEADERS: ReadonlyMap<number, number> = new Map([
  [PROTOCOL.icmp, 8],
  [PROTOCOL.tcp, 20],
  [PROTOCOL.udp, 8],
  [PROTOCOL.udpLite, 8],
  [PROTOCOL.dccp, 8],
  [PROTOCOL.sctp, 8],
]);
export const ICMP = { echoReply: 0, unreachable: 3, echoRequest: 8 } as const;
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];
/** Errors quote at least this much after the IP header. */
const QUOTED = 8;
const ICMP_HEADER = 8;
const FLAG = { fin: 0x01, syn: 0x02, rst: 0x04, ack: 0x10 } as const;

/** Undefined: the header is missing or shorter than it says. */
export function readTransport(ip: Ipv4): Transport | undefined {
  if (!hasPorts(ip.protocol)) return { kind: "portless" };
  if (ip.fragmentOffset > 0) return { kind: "hidden" };
  const least = HEADERS.get(ip.protocol) ?? 0; // uncovered: a protocol with ports has a header; only the type cannot say so
  if (ip.payload.length < least) return undefined;
  const length = transportHeaderLength(ip);
  if (length < least || length > ip.payload.length) return undefined;
  return ip.protocol === PROTOCOL.icmp ? readIcmp(ip.payload) : readPorts(ip.payload, signsOf(ip));
}

/** The same for the packet inside an ICMP error, of which only eight bytes need be there. */
export function readQuotedTransport(ip: Ipv4): Transport | undefined {
  if (!hasPorts(ip.protocol)) return { kind: "portless" };
  if (ip.fragmentOffset > 0) return { kind: "hidden" };
  if (ip.payload.length < QUOTED) return undefined;
  return ip.protocol === PROTOCOL.icmp ? readIcmp(ip.payload) : readPorts(ip.payload, NO_SIGNS);
}

/** Length of the header after the IP header; 0 where there is none that we know, and in later fragments. */
export function transportHeaderLength({ protocol, payload, fragmentOffset }: Ipv4): number {
  if (fragmentOffset > 0) return 0;
  return protocol === PROTOCOL.tcp ? (payload.readUInt8(12) >> 4) * 4 : (HEADERS.get(protocol) ?? 0);
}

export function hasPorts(protocol: number): boolean {
  return HEADERS.has(protocol);
}

function signsOf({ protocol, payload }: Ipv4): TcpSigns {
  if (protocol !== PROTOCOL.tcp) return NO_SIGNS;
  const flags = payload.readUInt8(13);
  return { opening: (flags & (FLAG.syn | FLAG.ack)) === FLAG.syn, closing: (flags & (FLAG.fin | FLAG.rst)) !== 0 };
}

function readPorts(header: Buffer, tcp: TcpSigns): Transport {
  return { kind: "ports", source: header.readUInt16BE(0), destination: header.readUInt16BE(2), tcp };
}

function readIcmp(message: Buffer): Transport {
  const type = message.readUInt8(0);
  if (type === ICMP.echoRequest || type === ICMP.echoReply)
    return { kind: "echo", reply: type === ICMP.echoReply, identifier: message.readUInt16BE(4) };
  if (ICMP_ERRORS.includes(type)) return { kind: "icmp-error", type, quoted: message.subarray(ICMP_HEADER) };
  return { kind: "icmp", type };
}
