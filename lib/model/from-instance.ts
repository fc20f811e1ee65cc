import { decideArp } from "./arp.ts";
import { mappingOf, NO_GROUPS, type Configuration, type Endpoint } from "./configuration.ts";
import { drop, HOST, type Decision } from "./decision.ts";
import { deliver } from "./delivery.ts";
import type { DropReason } from "./drop-reason.ts";
import { ETHERTYPE, isGroupMac, readEthernet, type Ethernet } from "./ethernet.ts";
import { recallTransport, rememberFragment } from "./fragment.ts";
import { checkHandover, meterChanges, type Allowed, type Outcome } from "./handover.ts";
import { isMulticast, readIpv4, type Ipv4 } from "./ipv4.ts";
import { judge } from "./judge.ts";
import { wireSize } from "./metering.ts";
import { checkMtu } from "./mtu.ts";
import { withoutConnection, type State } from "./state.ts";
import { readTransport } from "./transport.ts";
import { wireMac } from "./wire-id.ts";

/** A frame that an instance sent through a device. */
export interface FromInstance {
  readonly ifindex: number;
  readonly frame: Buffer;
  /** Payload of a segment, where the kernel will cut the packet later; else 0. */
  readonly gsoSize: number;
  /** Not 0: the kernel took this VLAN tag off the frame (D15). No interface expects one. */
  readonly vlanTci: number;
}

/** The fate of a packet at its sender's interface and, if it stays on this host, at its receiver's. */
export function decideFromInstance(configuration: Configuration, state: State, now: number, packet: FromInstance): Outcome {
  const ends = (decision: Decision): Outcome => ({ decision, state });
  const sender = configuration.endpoints.find(({ ifindex }) => ifindex === packet.ifindex);
  if (sender === undefined) return ends(drop("NOT_CONFIGURED", HOST));
  if (sender.disabled) return ends(drop("INTERFACE_DISABLED", sender.wireId));
  const ethernet = readEthernet(packet.frame);
  if (ethernet === undefined) return ends(drop("MALFORMED", sender.wireId));
  if (packet.vlanTci !== 0) return ends(drop("VLAN_TAG", sender.wireId));
  if (ethernet.source !== sender.guestMac) return ends(drop("SOURCE_MAC", sender.wireId));
  switch (ethernet.type) {
    case ETHERTYPE.arp:
      return ends(decideArp(sender, ethernet.payload));
    case ETHERTYPE.ipv6:
      return ends(drop("IPV6_UNSUPPORTED", sender.wireId));
    case ETHERTYPE.ipv4:
      return decideIpv4(configuration, state, now, { sender, ethernet, packet });
    default:
      return ends(drop("ETHERTYPE", sender.wireId));
  }
}

interface Sent {
  readonly sender: Endpoint;
  readonly ethernet: Ethernet;
  readonly packet: FromInstance;
}

function decideIpv4(configuration: Configuration, state: State, now: number, { sender, ethernet, packet }: Sent): Outcome {
  const { wireId, vni } = sender;
  const refuse = (reason: DropReason): Outcome => ({ decision: drop(reason, wireId), state });
  const ip = readIpv4(ethernet.payload, packet.gsoSize > 0);
  const own = ip && readTransport(ip);
  if (ip === undefined || own === undefined) return refuse("MALFORMED");
  const refused = checkAddresses(sender, ethernet, ip);
  if (refused !== undefined) return refuse(refused);

  const mapping = mappingOf(configuration, vni, ip.destination);
  const transport = recallTransport(state, vni, ip, own, now);
  const groupSetId = mapping?.groupSetId ?? NO_GROUPS;
  const judgement = judge(configuration, state, now, { endpoint: sender, direction: "egress", ip, transport, groupSetId });
  if (!judgement.allowed)
    return {
      decision: drop(judgement.reason, wireId),
      state: judgement.deleted === undefined ? state : withoutConnection(state, judgement.deleted),
    };

  const tooBig = checkMtu(sender, ip, own, packet.gsoSize);
  if (tooBig !== undefined) return { decision: tooBig, state };
  const { host } = configuration;
  if (host === undefined) return refuse("HOST_NOT_CONFIGURED");
  if (mapping === undefined) return refuse("NO_MAPPING");

  const allowed: Allowed = { endpoint: sender, direction: "egress", connection: judgement.connection, begins: judgement.begins };
  const sent = { vni, ip, own, transport, groupSetId: sender.groupSetId, size: wireSize(ip, packet.frame.length, packet.gsoSize) };
  if (mapping.hostAddress === host.address)
    return deliver(configuration, state, now, { ...sent, targetWireId: mapping.wireId, before: [allowed], blame: wireId });
  if (mapping.hostAddress.includes(":")) return refuse("SUBSTRATE_UNSUPPORTED");

  const handed = checkHandover(configuration, state, [allowed]);
  if (handed.decision !== undefined) return handed;
  const decision: Decision = {
    ...{ verdict: "tunnel", wireId, ifindex: host.tunnelIfindex, vni, remote: mapping.hostAddress, targetWireId: mapping.wireId },
    groupSetId: sender.groupSetId,
    ethernet: { destination: wireMac(mapping.wireId), source: wireMac(sender.groupSetId) },
    meters: meterChanges([allowed], sent.size),
  };
  return { decision, state: rememberFragment(handed.state, vni, ip, own, now) };
}

/** The source/destination check, and what no network carries. */
function checkAddresses(sender: Endpoint, ethernet: Ethernet, ip: Ipv4): DropReason | undefined {
  if (sender.sourceDestCheck && !sender.addresses.includes(ip.source)) return "SOURCE_ADDRESS";
  if (isGroupMac(ethernet.destination) || isMulticast(ip.destination)) return "MULTICAST";
  return undefined;
}
