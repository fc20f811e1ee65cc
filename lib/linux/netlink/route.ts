import { hasCode } from "../errno.ts";
import { AF_INET, AF_INET6 } from "../libc.ts";
import { addressBytes, addressText, networkOf, prefixBytes } from "./address-bytes.ts";
import { attribute, Attributes, NLM_F_CREATE, NLM_F_REPLACE, u32 } from "./codec.ts";
import type { NetlinkSocket } from "./socket.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;

export const TABLE_MAIN = 254;
/** Marks routes and rules as ours (rtm_protocol, FRA_PROTOCOL), as routing daemons do; `ip route` shows it as a number. */
export const PROTOCOL_PLENUM = 80;

export interface Route {
  /** "10.0.0.0/24"; "0.0.0.0/0" and "::/0" are the defaults. Host bits are dropped. */
  to: string;
  ifindex: number;
  /** Next hop; on-link if absent. It need not lie in a prefix of the device (`onlink`). */
  via?: string;
  /** Preferred source address. */
  source?: string;
  /** 1..2^32-1; main if absent. */
  table?: number;
}

/** struct rtmsg and attributes. */
function body(route: Route): Buffer {
  const to = networkOf(prefixBytes(route.to));
  const table = route.table ?? TABLE_MAIN;
  const header = Buffer.alloc(12);
  header.writeUInt8(to.family, 0);
  header.writeUInt8(to.length, 1);
  header.writeUInt8(table < 256 ? table : 0, 4);
  header.writeUInt8(PROTOCOL_PLENUM, 5);
  header.writeUInt8(route.via === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  header.writeUInt32LE(route.via === undefined ? 0 : RTNH_F_ONLINK, 8);
  const parts = [header, u32(RTA_TABLE, table), u32(RTA_OIF, route.ifindex)];
  if (to.length > 0) parts.push(attribute(RTA_DST, to.bytes));
  for (const [type, text] of [[RTA_GATEWAY, route.via] as const, [RTA_PREFSRC, route.source] as const]) {
    if (text === undefined) continue;
    const address = addressBytes(text);
    // The kernel would read the first four bytes of an IPv6 address and be content.
    if (address.family !== to.family) throw new RangeError(`${text} is of another address family than ${route.to}`);
    parts.push(attribute(type, address.bytes));
  }
  return Buffer.concat(parts);
}

/** Adds the route, or replaces the one to the same prefix in the same table. The device must be up. */
export function putRoute(nl: NetlinkSocket, route: Route): void {
  nl.change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body(route), `route ${JSON.stringify(route)}`);
}

/** Not there: no effect. */
export function deleteRoute(nl: NetlinkSocket, route: Route): void {
  try {
    nl.change(RTM_DELROUTE, 0, body(route), `delete route ${JSON.stringify(route)}`);
  } catch (error) {
    if (!hasCode(error, "ESRCH", "ENOENT")) throw error;
  }
}

/** The routes that carry our mark, both families, all tables. */
export function getOwnRoutes(nl: NetlinkSocket): Route[] {
  return nl.dump(RTM_GETROUTE, Buffer.alloc(12), "list routes").flatMap(({ body: answer }) => {
    const family = answer.readUInt8(0);
    if (answer.readUInt8(5) !== PROTOCOL_PLENUM || (family !== AF_INET && family !== AF_INET6)) return [];
    if ((answer.readUInt32LE(8) & RTM_F_CLONED) !== 0) return [];
    const attributes = new Attributes(answer.subarray(12));
    const any = Buffer.alloc(family === AF_INET ? 4 : 16);
    const via = attributes.bytes(RTA_GATEWAY);
    const source = attributes.bytes(RTA_PREFSRC);
    return {
      to: `${addressText(attributes.bytes(RTA_DST) ?? any)}/${answer.readUInt8(1)}`,
      ifindex: attributes.u32(RTA_OIF) ?? 0,
      table: attributes.u32(RTA_TABLE) ?? answer.readUInt8(4),
      ...(via === undefined ? {} : { via: addressText(via) }),
      ...(source === undefined ? {} : { source: addressText(source) }),
    };
  });
}
