import { hasCode } from "../errno.ts";
import { macBytes, macText } from "./address-bytes.ts";
import { attribute, Attributes, nested, NLM_F_CREATE, NLM_F_EXCL, text, u32 } from "./codec.ts";
import type { NetlinkSocket } from "./socket.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFF_UP = 1;
const IFF_LOWER_UP = 0x10000;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_IFALIAS = 20;
const IFLA_GROUP = 27;
const IFLA_EXT_MASK = 29;
/** RFC 2863's notPresent, down and lowerLayerDown; a link mode (dormant, testing) is for others to heed, and packets pass. */
const DOWN_STATES: ReadonlySet<number> = new Set([1, 2, 3]);
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
/** Link statistics triple an answer and nobody here reads them. */
const RTEXT_FILTER_SKIP_STATS = 8;

/** A network device as the kernel describes it. */
export interface Link {
  ifindex: number;
  name: string;
  mtu: number;
  /** "" where the device has none. */
  mac: string;
  up: boolean;
  /** Up, with a carrier (IFF_LOWER_UP): of a veth, the other end is up too. */
  carrier: boolean;
  /**
   * It takes packets. A moment later than `carrier`: until the kernel's link watch has run, which may wait for what others do to their devices,
   * all that is sent through it is thrown away. `getLink` makes it run for that device (since Linux 6.8), `getLinks` does not.
   */
  running: boolean;
  /** Raw IFF_ flags. */
  flags: number;
  /** ifindex of the bridge it belongs to, or 0. */
  master: number;
  /** For a veth: ifindex of the other end, in that end's namespace. Otherwise the device it sits on, or 0. */
  peerIfindex: number;
  /** "veth", "vxlan", "bridge"… or "" for hardware and loopback. */
  kind: string;
  alias: string;
  /** What is particular to the kind. */
  data: Attributes | undefined;
}

/** struct ifinfomsg. */
function header(ifindex = 0, flags = 0, change = 0): Buffer {
  const out = Buffer.alloc(16);
  out.writeInt32LE(ifindex, 4);
  out.writeUInt32LE(flags, 8);
  out.writeUInt32LE(change, 12);
  return out;
}

/** Of a message about a link. */
export function parseLink(body: Buffer): Link {
  const attributes = new Attributes(body.subarray(16));
  const info = attributes.nested(IFLA_LINKINFO);
  const flags = body.readUInt32LE(8);
  return {
    ifindex: body.readInt32LE(4),
    flags,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_UP) !== 0 && !DOWN_STATES.has(attributes.bytes(IFLA_OPERSTATE)?.[0] ?? 0),
    carrier: (flags & IFF_UP) !== 0 && (flags & IFF_LOWER_UP) !== 0,
    name: attributes.text(IFLA_IFNAME) ?? "",
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    mac: macText(attributes.bytes(IFLA_ADDRESS) ?? new Uint8Array()),
    master: attributes.u32(IFLA_MASTER) ?? 0,
    peerIfindex: attributes.u32(IFLA_LINK) ?? 0,
    alias: attributes.text(IFLA_IFALIAS) ?? "",
    kind: info?.text(IFLA_INFO_KIND) ?? "",
    data: info?.nested(IFLA_INFO_DATA),
  };
}

/** A device's name must fit IFNAMSIZ (15 characters), else the kernel's own message is obscure. */
function nameAttribute(name: string): Buffer {
  if (!/^[^\s/:]{1,15}$/.test(name) || name === "." || name === "..") throw new RangeError(`not a device name: ${JSON.stringify(name)}`);
  return text(IFLA_IFNAME, name);
}

/** All devices of the namespace. */
export function getLinks(nl: NetlinkSocket): Link[] {
  const body = Buffer.concat([header(), u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)]);
  return nl.dump(RTM_GETLINK, body, "list devices").map((m) => parseLink(m.body));
}

/** By name or by ifindex; undefined if there is none. */
export function getLink(nl: NetlinkSocket, which: string | number): Link | undefined {
  const parts = [header(typeof which === "number" ? which : 0), u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)];
  if (typeof which === "string") parts.push(nameAttribute(which));
  try {
    return parseLink(nl.get(RTM_GETLINK, Buffer.concat(parts), `look up device ${which}`).body);
  } catch (error) {
    if (hasCode(error, "ENODEV")) return undefined;
    throw error;
  }
}

export interface NewVeth {
  name: string;
  mac: string;
  /** Both ends. */
  mtu: number;
  peer: {
    name: string;
    mac: string;
    /** Open descriptor of the namespace in which the peer is made; the socket's own if absent. */
    namespaceFd?: number;
  };
}

/** Makes both ends in one step, down. @throws KernelError EEXIST if either name is taken */
export function createVeth(nl: NetlinkSocket, veth: NewVeth): void {
  const peer = [
    header(),
    nameAttribute(veth.peer.name),
    attribute(IFLA_ADDRESS, macBytes(veth.peer.mac)),
    u32(IFLA_MTU, veth.mtu),
    ...(veth.peer.namespaceFd === undefined ? [] : [u32(IFLA_NET_NS_FD, veth.peer.namespaceFd)]),
  ];
  const extra = [attribute(IFLA_ADDRESS, macBytes(veth.mac)), u32(IFLA_MTU, veth.mtu)];
  createLink(nl, veth.name, "veth", [nested(VETH_INFO_PEER, ...peer)], extra);
}

/** Makes a device of any kind. @throws KernelError EEXIST if the name is taken; EOPNOTSUPP if the kernel lacks the kind */
export function createLink(nl: NetlinkSocket, name: string, kind: string, data: readonly Buffer[], extra: readonly Buffer[] = []): void {
  const info = [text(IFLA_INFO_KIND, kind), ...(data.length > 0 ? [nested(IFLA_INFO_DATA, ...data)] : [])];
  const body = Buffer.concat([header(), nameAttribute(name), ...extra, nested(IFLA_LINKINFO, ...info)]);
  nl.change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, `create ${kind} device ${name}`);
}

/** A bridge, down, without spanning tree (the kernel's default). */
export function createBridge(nl: NetlinkSocket, name: string): void {
  createLink(nl, name, "bridge", []);
}

export interface LinkChange {
  up?: boolean;
  mtu?: number;
  mac?: string;
  /** New name; the device must be down on kernels before 6.2. */
  name?: string;
  /** ifindex of a bridge; 0 takes it out. */
  master?: number;
  /** Up to 255 bytes, free text. */
  alias?: string;
  /** A number that devices may share, to be named by it together; 0 is every device's at first. */
  group?: number;
}

/** Changes what is named and nothing else. @throws KernelError ENODEV */
export function setLink(nl: NetlinkSocket, ifindex: number, change: LinkChange): void {
  const parts = [header(ifindex, change.up === true ? IFF_UP : 0, change.up === undefined ? 0 : IFF_UP)];
  if (change.mtu !== undefined) parts.push(u32(IFLA_MTU, change.mtu));
  if (change.mac !== undefined) parts.push(attribute(IFLA_ADDRESS, macBytes(change.mac)));
  if (change.name !== undefined) parts.push(nameAttribute(change.name));
  if (change.master !== undefined) parts.push(u32(IFLA_MASTER, change.master));
  if (change.group !== undefined) parts.push(u32(IFLA_GROUP, change.group));
  if (change.alias !== undefined) parts.push(text(IFLA_IFALIAS, change.alias));
  nl.change(RTM_NEWLINK, 0, Buffer.concat(parts), `set ${JSON.stringify(change)} on device ${ifindex}`);
}

/** By name or ifindex; a veth takes its other end with it. None there: no effect. */
export function deleteLink(nl: NetlinkSocket, which: string | number): void {
  const body = typeof which === "number" ? header(which) : Buffer.concat([header(), nameAttribute(which)]);
  try {
    nl.change(RTM_DELLINK, 0, body, `delete device ${which}`);
  } catch (error) {
    if (!hasCode(error, "ENODEV")) throw error;
  }
}

/**
 * All devices of a group (not 0) in one request, so that the kernel waits once for all of them, and not for each. None there: no effect.
 * @throws KernelError EOPNOTSUPP if one of them cannot be deleted: then none is
 */
export function deleteGroup(nl: NetlinkSocket, group: number): void {
  if (group === 0) throw new RangeError("group 0 is every device's");
  try {
    nl.change(RTM_DELLINK, 0, Buffer.concat([header(), u32(IFLA_GROUP, group)]), `delete devices of group ${group}`);
  } catch (error) {
    if (!hasCode(error, "ENODEV")) throw error;
  }
}
