import type { Ipv4 } from "./ipv4.ts";

/** What the header after the IP header shows, as far as rules and connections ask. */
export type Transport =
  | { readonly kind: "ports"; readonly source: number; readonly destination: number; readonly closing: boolean }
  | { readonly kind: "echo"; readonly reply: boolean; readonly identifier: number }
  | { readonly kind: "icmp-error"; readonly type: number; /** The packet inside, cut short. */ readonly quoted: Buffer }
  | { readonly kind: "icmp"; readonly type: number }
  /** A protocol without ports. */
  | { readonly kind: "portless" }
  /** A later fragment of a protocol that has ports: they are in the first one. */
  | { readonly kind: "hidden" };

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const;
export const ICMP = { echoReply: 0, unreachable: 3, echoRequest: 8 } as const;
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];
const ICMP_HEADER = 8;
const UDP_HEADER = 8;
const TCP_HEADER = 20;
const FIN_OR_RST = 0x05;

/** Undefined: the header is missing or shorter than it says. */
export function readTransport(ip: Ipv4): Transport | undefined {
  const { protocol, payload } = ip;
  if (!hasPorts(protocol)) return { kind: "portless" };
  if (ip.fragmentOffset > 0) return { kind: "hidden" };
  if (payload.length < transportHeaderLength(ip)) return undefined;
  switch (protocol) {
    case PROTOCOL.tcp:
      if (transportHeaderLength(ip) < TCP_HEADER) return undefined;
      return readPorts(payload, (payload.readUInt8(13) & FIN_OR_RST) !== 0);
    case PROTOCOL.udp:
      return readPorts(payload, false);
    default:
      return readIcmp(payload);
  }
}

/** The same for the packet inside an ICMP error, of which only eight bytes need be there. */
export function readQuotedTransport(ip: Ipv4): Transport | undefined {
  const { protocol, payload } = ip;
  if (!hasPorts(protocol)) return { kind: "portless" };
  if (ip.fragmentOffset > 0) return { kind: "hidden" };
  if (payload.length < ICMP_HEADER) return undefined;
  return protocol === PROTOCOL.icmp ? readIcmp(payload) : readPorts(payload, false);
}

/** Length of the header after the IP header; 0 where there is none that we know, and in later fragments. */
export function transportHeaderLength({ protocol, payload, fragmentOffset }: Ipv4): number {
  if (fragmentOffset > 0) return 0;
  if (protocol === PROTOCOL.udp) return UDP_HEADER;
  if (protocol === PROTOCOL.icmp) return ICMP_HEADER;
  if (protocol === PROTOCOL.tcp) return payload.length < TCP_HEADER ? TCP_HEADER : (payload.readUInt8(12) >> 4) * 4;
  return 0;
}

function hasPorts(protocol: number): boolean {
  return protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp || protocol === PROTOCOL.icmp;
}

function readPorts(header: Buffer, closing: boolean): Transport {
  return { kind: "ports", source: header.readUInt16BE(0), destination: header.readUInt16BE(2), closing };
}

function readIcmp(message: Buffer): Transport {
  const type = message.readUInt8(0);
  if (type === ICMP.echoRequest || type === ICMP.echoReply)
    return { kind: "echo", reply: type === ICMP.echoReply, identifier: message.readUInt16BE(4) };
  if (ICMP_ERRORS.includes(type)) return { kind: "icmp-error", type, quoted: message.subarray(ICMP_HEADER) };
  return { kind: "icmp", type };
}
