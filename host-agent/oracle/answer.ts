import { macText } from "#lib/linux/netlink/address-bytes.ts";
import { keyText, type ConnectionKey } from "#lib/model/index.ts";
import { keyText as addressText } from "../out/datapath/address.ts";
import type { BpfMap } from "../out/datapath/bpf-map.ts";
import { DROP_REASONS, ENUMS } from "../out/datapath/layout.gen.ts";
import { readBigint, readBytes, readNumber } from "../out/datapath/record.ts";

/** What the program said of a packet, all of it that means something for its verdict. */
export type Answer = Readonly<Record<string, string | number | bigint>>;

/** What the program wrote beside its decision. */
export interface Written {
  /** Reason with which the writing of a connection refused the packet, and for whom. */
  refused: number;
  refusedFor: number;
  bytes: number;
  rawBytes: number;
}

export function reasonName(number: number): string {
  return DROP_REASONS.find((reason) => reason.number === number)?.name ?? `reason ${number}`;
}

export function readAnswer(decision: Buffer, { refused, refusedFor, bytes, rawBytes }: Written): Answer {
  const number = (name: Parameters<typeof readNumber<"decision">>[2]): number => readNumber("decision", decision, name);
  const verdict = number("verdict");
  if (refused !== 0) return { verdict: "drop", reason: reasonName(refused), countedFor: refusedFor };
  const ethernet = {
    destination: macText(readBytes("decision", decision, "eth_dst")),
    source: macText(readBytes("decision", decision, "eth_src")),
  };
  const way = { vni: number("vni"), ifindex: number("ifindex"), target: number("target_wire_id"), groups: number("group_set_id") };
  const back = { ifindex: number("ifindex") };
  const meters = {
    ...{ egressMeter: readBigint("decision", decision, "egress_meter"), ingressMeter: readBigint("decision", decision, "ingress_meter") },
    ...{ bytes, rawBytes },
  };
  switch (verdict) {
    case ENUMS.verdict.VERDICT_DROP:
      return { verdict: "drop", reason: reasonName(number("reason")), countedFor: number("wire_id") };
    case ENUMS.verdict.VERDICT_TOO_BIG:
      return { verdict: "too-big", reason: reasonName(number("reason")), countedFor: number("wire_id"), ...back, mtu: number("mtu") };
    case ENUMS.verdict.VERDICT_ARP_REPLY:
      return { verdict: "arp-reply", wireId: number("wire_id"), ...back, ...ethernet };
    case ENUMS.verdict.VERDICT_TUNNEL:
      return { verdict: "tunnel", ...way, ...ethernet, ...meters, remote: addressText(readBytes("decision", decision, "remote")) };
    case ENUMS.verdict.VERDICT_DELIVER:
      return {
        verdict: "deliver",
        ...way,
        ...ethernet,
        ...meters,
        device: number("device") === ENUMS.device_kind.DEVICE_TAP ? "tap" : "veth",
      };
    default:
      return { verdict };
  }
}

export interface HeldConnection {
  readonly wireId: number;
  /** Key and all that is remembered, in one line. */
  readonly text: string;
}

const CLOSING = ENUMS.connection_flag.CONNECTION_CLOSING;
const ANSWERED = ENUMS.connection_flag.CONNECTION_ANSWERED;

/** The connection table; times in milliseconds after `epoch` (nanoseconds). */
export function readConnections(map: BpfMap, epoch: bigint): HeldConnection[] {
  return [...map.entries()].map(([key, value]) => {
    const state = readBytes("connection", value, "state");
    const flags = readNumber("connection_state", state, "flags");
    const id = keyOf(key);
    const ids = {
      rulesetId: readNumber("connection_state", state, "ruleset_id"),
      groupSetId: readNumber("connection_state", state, "peer_group_set"),
    };
    const seen = readBigint("connection_state", state, "last_seen") - epoch;
    const rest = { ...ids, lastSeen: Number(seen) / 1e6, answered: (flags & ANSWERED) !== 0, closing: (flags & CLOSING) !== 0 };
    return { wireId: id.wireId, text: connectionText({ key: id, ...rest }) };
  });
}

export function connectionText(c: {
  key: ConnectionKey;
  rulesetId: number;
  groupSetId: number;
  lastSeen: number;
  answered: boolean;
  closing: boolean;
}): string {
  const signs = `${c.answered ? ", answered" : ""}${c.closing ? ", closing" : ""}`;
  return `${keyText(c.key)}: ruleset ${c.rulesetId}, groups ${c.groupSetId}, seen ${c.lastSeen}${signs}`;
}

function keyOf(key: Buffer): ConnectionKey {
  const number = (name: Parameters<typeof readNumber<"connection_key">>[2]): number => readNumber("connection_key", key, name);
  return {
    wireId: number("wire_id"),
    direction: number("direction") === ENUMS.direction.DIRECTION_EGRESS ? "egress" : "ingress",
    protocol: number("protocol"),
    source: addressText(readBytes("connection_key", key, "src")),
    destination: addressText(readBytes("connection_key", key, "dst")),
    sourcePort: number("sport"),
    destinationPort: number("dport"),
  };
}
