import { mappingOf, type Configuration } from "./configuration.ts";
import { drop, HOST } from "./decision.ts";
import { deliver } from "./delivery.ts";
import type { DropReason } from "./drop-reason.ts";
import { ETHERTYPE, readEthernet } from "./ethernet.ts";
import { recallTransport } from "./fragment.ts";
import type { Outcome } from "./handover.ts";
import { readIpv4 } from "./ipv4.ts";
import { wireSize } from "./metering.ts";
import type { State } from "./state.ts";
import { readTransport } from "./transport.ts";
import { wireIdOf } from "./wire-id.ts";

/** A frame that came out of the tunnel. */
export interface FromTunnel {
  /** What the outer headers said; undefined: it came through no IPv4 tunnel. */
  readonly key: { readonly vni: number; readonly sender: string } | undefined;
  readonly frame: Buffer;
  readonly gsoSize: number;
  readonly vlanTci: number;
}

/** The fate of a packet that another host sent. Until its receiver is known, refusals are the host's. */
export function decideFromTunnel(configuration: Configuration, state: State, now: number, packet: FromTunnel): Outcome {
  const refuse = (reason: DropReason): Outcome => ({ decision: drop(reason, HOST), state });
  const { key, frame, gsoSize } = packet;
  if (key === undefined) return refuse("NO_TUNNEL_KEY");
  const { vni, sender } = key;
  if (!isHostOf(configuration, vni, sender)) return refuse("UNKNOWN_SENDER_HOST");
  const ethernet = readEthernet(frame);
  if (ethernet === undefined) return refuse("MALFORMED");
  if (packet.vlanTci !== 0) return refuse("VLAN_TAG");
  const targetWireId = wireIdOf(ethernet.destination);
  const groupSetId = wireIdOf(ethernet.source);
  if (targetWireId === undefined || groupSetId === undefined) return refuse("WIRE_HEADER");
  if (ethernet.type === ETHERTYPE.ipv6) return refuse("IPV6_UNSUPPORTED");
  if (ethernet.type !== ETHERTYPE.ipv4) return refuse("ETHERTYPE");
  const ip = readIpv4(ethernet.payload, gsoSize > 0);
  const own = ip && readTransport(ip);
  if (ip === undefined || own === undefined) return refuse("MALFORMED");
  if (mappingOf(configuration, vni, ip.source)?.hostAddress !== sender) return refuse("SENDER_NOT_OWNER");

  const transport = recallTransport(state, vni, ip, own, now);
  const size = wireSize(ip, frame.length, gsoSize);
  return deliver(configuration, state, now, { targetWireId, vni, ip, own, transport, groupSetId, size, before: [], blame: HOST });
}

/** A host may send into the networks that it holds an address of (D3). */
function isHostOf({ mappings }: Configuration, vni: number, address: string): boolean {
  return mappings.some((m) => m.vni === vni && m.hostAddress === address);
}
