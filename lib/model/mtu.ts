import type { Endpoint } from "./configuration.ts";
import { drop, type Answered, type Drop } from "./decision.ts";
import type { Ipv4 } from "./ipv4.ts";
import { transportHeaderLength, type Transport } from "./transport.ts";

/**
 * Longer than the interface may send: the guest is told what fits, if it forbade fragmentation and such a message may be sent about
 * this packet (RFC 1122, 3.2.2: not about ICMP errors, not about later fragments).
 */
export function checkMtu(endpoint: Endpoint, ip: Ipv4, transport: Transport, gsoSize: number): Drop | Answered | undefined {
  const { guestMtu, guestMac, gatewayMac, wireId, ifindex } = endpoint;
  if (longest(ip, gsoSize) <= guestMtu) return undefined;
  const isMessageDue = ip.dontFragment && ip.fragmentOffset === 0 && transport.kind !== "icmp-error";
  if (!isMessageDue) return drop("TOO_BIG", wireId);
  const ethernet = { destination: guestMac, source: gatewayMac };
  return { verdict: "too-big", reason: "TOO_BIG_ANSWERED", countedFor: wireId, ifindex, mtu: guestMtu, ethernet };
}

/** The longest packet that this becomes on the wire. */
function longest(ip: Ipv4, gsoSize: number): number {
  const segment = ip.headerLength + transportHeaderLength(ip) + gsoSize;
  return gsoSize === 0 ? ip.totalLength : Math.min(segment, ip.totalLength);
}
