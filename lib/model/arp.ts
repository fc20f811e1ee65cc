import type { Endpoint } from "./configuration.ts";
import { drop, type Decision } from "./decision.ts";
import { mac } from "./ethernet.ts";
import { ipv4Text } from "./ipv4.ts";

const LENGTH = 28;
/** Ethernet, IPv4, six and four octets. */
const FIXED = "0001080006" + "04";
const REQUEST = 1;
const NOBODY = "0.0.0.0";

/**
 * The router answers for every address but the asker's own (D11). A probe (from 0.0.0.0) or an announcement gets no answer: an answer
 * would say that the address is taken.
 */
export function decideArp(endpoint: Endpoint, message: Buffer): Decision {
  const { wireId, ifindex, guestMac, gatewayMac, addresses, sourceDestCheck } = endpoint;
  if (message.length < LENGTH || message.toString("hex", 0, 6) !== FIXED) return drop("MALFORMED", wireId);
  const operation = message.readUInt16BE(6);
  const asker = ipv4Text(message, 14);
  const wanted = ipv4Text(message, 24);
  if (mac(message, 8) !== guestMac) return drop("ARP_SPOOFED", wireId);
  if (asker === NOBODY) return drop("ARP_UNANSWERED", wireId);
  if (sourceDestCheck && !addresses.includes(asker)) return drop("ARP_SPOOFED", wireId);
  if (operation !== REQUEST) return drop("ARP_UNANSWERED", wireId);
  if (addresses.includes(wanted)) return drop("ARP_UNANSWERED", wireId);
  return { verdict: "arp-reply", wireId, ifindex, ethernet: { destination: guestMac, source: gatewayMac } };
}
