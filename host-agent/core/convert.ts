import type { AttachmentItem, InstanceItem, RulesetItem } from "#gen/plenum/host/v1/host_feed.ts";
import { bitsOf, parseAddress } from "#lib/net/address.ts";
import type { DeviceSpec, Endpoint, InstanceSpec, Rule, Ruleset } from "./ports.ts";

/** An item that no kernel could hold. The attachment it belongs to is reported as FAILED with this message; others go on. */
export class NotConvertible extends Error {
  override readonly name = "NotConvertible";
}

/** An endpoint before its device exists. */
export type EndpointSpec = Omit<Endpoint, "ifindex">;

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

function macOf(text: string, what: string): string {
  const mac = text.toLowerCase();
  if (!MAC.test(mac)) throw new NotConvertible(`${what} ${JSON.stringify(text)} is not a MAC address`);
  return mac;
}

function within(value: number, from: number, to: number, what: string): number {
  if (!Number.isInteger(value) || value < from || value > to) throw new NotConvertible(`${what} ${value} is not in ${from} to ${to}`);
  return value;
}

/** "10.0.1.5/24" → "10.0.1.5". */
function addressOf(text: string): string {
  const [address = "", length] = text.split("/");
  const family = parseAddress(address)?.family;
  if (family === undefined || length === undefined || !/^\d{1,3}$/.test(length) || Number(length) > bitsOf(family)) {
    throw new NotConvertible(`${JSON.stringify(text)} is not an address with a prefix length`);
  }
  return address;
}

/** `guestMtu`: what the guest may send at IP level (D12). Throws {@link NotConvertible}. */
export function endpointOf(item: AttachmentItem, guestMtu: number): EndpointSpec {
  if (item.addresses.length === 0) throw new NotConvertible("an attachment without an address");
  if (item.meterId === 0n) throw new NotConvertible("an attachment without a meter");
  const unknown = item.dnsServers.find((server) => parseAddress(server) === undefined);
  if (unknown !== undefined) throw new NotConvertible(`DNS server ${JSON.stringify(unknown)} is not an address`);
  return {
    wireId: within(item.wireId, 1, 0xffff_ffff, "wire id"),
    vni: within(item.vni, 1, 0xff_ffff, "VNI"),
    addresses: item.addresses.map(addressOf),
    guestMac: macOf(item.macAddress, "mac_address"),
    gatewayMac: macOf(item.gatewayMac, "gateway_mac"),
    device: "veth",
    guestMtu,
    rulesetId: within(item.rulesetId, 1, 0xffff_ffff, "ruleset id"),
    groupSetId: item.groupSetId,
    meterId: item.meterId,
    sourceDestCheck: item.sourceDestCheck,
    disabled: item.disabled,
  };
}

/** Throws {@link NotConvertible}. */
export function deviceOf(item: AttachmentItem, guestMtu: number): DeviceSpec {
  if (parseAddress(item.gateway) === undefined) throw new NotConvertible(`gateway ${JSON.stringify(item.gateway)} is not an address`);
  return {
    wireId: item.wireId,
    instanceId: item.instanceId,
    deviceIndex: within(item.deviceIndex, 0, 255, "device index"),
    guestMac: macOf(item.macAddress, "mac_address"),
    gatewayMac: macOf(item.gatewayMac, "gateway_mac"),
    guestMtu,
    addresses: item.addresses,
    gateways: [item.gateway],
  };
}

/** `attachments`: those that are to be on it, in any order. A server that several name is asked once. */
export function instanceOf(item: InstanceItem, attachments: readonly AttachmentItem[]): InstanceSpec {
  const inOrder = attachments.toSorted((a, b) => a.deviceIndex - b.deviceIndex);
  const dnsServers = [...new Set(inOrder.flatMap((attachment) => attachment.dnsServers))];
  const identity = item.actsAs === "" ? "" : `${item.actsAs} since ${item.generation}`;
  return { instanceId: item.instanceId, argv: item.argv, env: item.env, dnsServers, identity };
}

export function rulesetOf(item: RulesetItem): Ruleset {
  const rules = item.rules.map((rule): Rule => ({
    direction: rule.egress ? "egress" : "ingress",
    protocol: rule.protocol,
    portFrom: rule.portFrom,
    portTo: rule.portTo,
    ...(rule.peerIsGroup ? { peerGroupId: rule.peerGroupId, peerGroupSets: rule.peerGroupSetIds } : { peerCidr: rule.peerCidr }),
  }));
  return { id: item.rulesetId, rules };
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.ifindex === b.ifindex && sameEndpointSpec(a, b);
}

export function sameEndpointSpec(a: EndpointSpec, b: EndpointSpec): boolean {
  return (
    a.vni === b.vni &&
    a.rulesetId === b.rulesetId &&
    a.groupSetId === b.groupSetId &&
    a.meterId === b.meterId &&
    a.guestMac === b.guestMac &&
    a.gatewayMac === b.gatewayMac &&
    a.device === b.device &&
    a.guestMtu === b.guestMtu &&
    a.sourceDestCheck === b.sourceDestCheck &&
    a.disabled === b.disabled &&
    sameTexts(a.addresses, b.addresses)
  );
}

export function sameDevice(a: DeviceSpec, b: DeviceSpec): boolean {
  return (
    a.instanceId === b.instanceId &&
    a.deviceIndex === b.deviceIndex &&
    a.guestMac === b.guestMac &&
    a.gatewayMac === b.gatewayMac &&
    a.guestMtu === b.guestMtu &&
    sameTexts(a.addresses, b.addresses) &&
    sameTexts(a.gateways, b.gateways)
  );
}

/** The same in the same order. */
export function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}
