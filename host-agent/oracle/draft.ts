import type { Configuration, Packet } from "#lib/model/index.ts";
import { ethernet, ETHERTYPE, ipv4, wireMac } from "../out/datapath/testing/frames.ts";
import { localEndpoint, payloadOf, type Flow } from "./flow.ts";
import type { Random } from "./random.ts";
import type { Step } from "./scenario.ts";
import { PROTOCOLS, THERE } from "./world.ts";

/** A packet before it is bytes: each part can still be made wrong. */
export interface Draft {
  origin: { from: "instance"; ifindex: number } | { from: "tunnel"; key: { vni: number; sender: string } | undefined };
  ethernet: { dst: string; src: string; type: number };
  ip: Parameters<typeof ipv4>[0];
  payload: Buffer;
  gsoSize: number;
  /** Not 0: the frame carried this VLAN tag. */
  vlanTci: number;
  /** The IP packet's bytes, where they are not what the fields say. */
  override?: Buffer;
  note: string;
}

/** A packet of a flow, as its sender or its sender's host would send it. Undefined: it does not pass this host. */
export function draftOf(random: Random, configuration: Configuration, flow: Flow, isAnswer: boolean): Draft | undefined {
  const [sender, receiver] = isAnswer ? [flow.ends[1], flow.ends[0]] : flow.ends;
  const route = routeOf(random, configuration, flow.vni, sender.address, receiver.address);
  if (route === undefined) return undefined;
  const ip = { src: sender.address, dst: receiver.address, protocol: flow.protocol, dontFragment: random.chance(0.5) };
  const note = `${isAnswer ? "answer" : "packet"} ${sender.address}:${sender.port} > ${receiver.address}:${receiver.port} protocol ${flow.protocol}`;
  return {
    ...route,
    ip: { ...ip, identification: random.between(0, 2) },
    payload: payloadOf(random, flow, isAnswer),
    gsoSize: 0,
    vlanTci: 0,
    note,
  };
}

/** How a packet of this sender comes to this host. */
export function routeOf(
  random: Random,
  configuration: Configuration,
  vni: number,
  from: string,
  to: string,
): Pick<Draft, "origin" | "ethernet"> | undefined {
  const here = localEndpoint(configuration, vni, from);
  if (here !== undefined) {
    const link = { dst: here.gatewayMac, src: here.guestMac, type: ETHERTYPE.ipv4 };
    return { origin: { from: "instance", ifindex: here.ifindex }, ethernet: link };
  }
  const target = localEndpoint(configuration, vni, to);
  const mapping = configuration.mappings.find((m) => m.vni === vni && m.address === from);
  if (target === undefined) return undefined;
  const isElsewhere = mapping !== undefined && THERE.some((host) => host === mapping.hostAddress);
  if (!isElsewhere && random.chance(0.7)) return undefined;
  const sender = isElsewhere ? mapping.hostAddress : random.pick(THERE);
  const link = { dst: wireMac(target.wireId), src: wireMac(mapping?.groupSetId ?? 0), type: ETHERTYPE.ipv4 };
  return { origin: { from: "tunnel", key: { vni, sender } }, ethernet: link };
}

export function packetOf({ origin, ethernet: link, ip, payload, gsoSize, vlanTci, override }: Draft): Packet {
  const bytes = override ?? ipv4(ip, payload);
  const missing = Math.max(0, (LEAST.get(link.type) ?? 1) - bytes.length);
  const frame = ethernet(link, Buffer.concat([bytes, Buffer.alloc(missing)]));
  return { ...origin, frame, gsoSize: isCut(bytes, gsoSize) ? gsoSize : 0, vlanTci };
}

export function packetStep(draft: Draft): Step {
  return { what: "packet", packet: packetOf(draft), note: draft.note };
}

/** Whether segments of this size come of it: only of a packet that has more than one does the kernel ever say a size. */
function isCut(bytes: Buffer, gsoSize: number): boolean {
  if (bytes.length < 40 || (bytes.readUInt16BE(6) & 0x1fff) !== 0) return false;
  const header = (bytes.readUInt8(0) & 0xf) * 4;
  const transport = bytes.readUInt8(9) === PROTOCOLS.tcp ? (bytes.readUInt8(Math.min(header + 12, bytes.length - 1)) >> 4) * 4 : 8;
  return bytes.length - header - transport > gsoSize;
}

/** BPF_PROG_TEST_RUN refuses frames of these types that have no room for a header. */
const LEAST: ReadonlyMap<number, number> = new Map([
  [ETHERTYPE.ipv4, 20],
  [ETHERTYPE.ipv6, 40],
]);
