import { HostItem, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import { GATEWAY_MAC, macOfWireId } from "./mac.ts";

/** All that an attachment's host and the other hosts of its network must know. */
export interface Carried {
  readonly attachmentId: string;
  readonly interfaceId: string;
  readonly instanceId: string;
  readonly generation: bigint;
  readonly wanted: Wanted;
  readonly wireId: number;
  readonly deviceIndex: number;
  readonly networkId: bigint;
  readonly vni: number;
  /** With the subnet's prefix length ("10.0.1.5/24"). */
  readonly addresses: readonly string[];
  readonly gateway: string;
  readonly rulesetId: number;
  readonly groupSetId: number;
  readonly meterId: bigint;
  readonly sourceDestCheck: boolean;
  readonly dnsServers: readonly string[];
  readonly disabled: boolean;
}

/** What its host is sent. */
export function attachmentItem(of: Carried): HostItem {
  return {
    item: {
      $case: "attachment",
      value: {
        attachmentId: of.attachmentId,
        generation: of.generation,
        wanted: of.wanted,
        wireId: of.wireId,
        instanceId: of.instanceId,
        deviceIndex: of.deviceIndex,
        networkId: of.networkId,
        vni: of.vni,
        addresses: [...of.addresses],
        gateway: of.gateway,
        macAddress: macOfWireId(of.wireId),
        gatewayMac: GATEWAY_MAC,
        rulesetId: of.rulesetId,
        groupSetId: of.groupSetId,
        meterId: of.meterId,
        sourceDestCheck: of.sourceDestCheck,
        dnsServers: [...of.dnsServers],
        disabled: of.disabled,
      },
    },
  };
}

/** Rules that no attachment of a host names any more. */
export function rulesetGone(rulesetId: number): HostItem {
  return { item: { $case: "ruleset", value: { rulesetId, wanted: Wanted.ABSENT, rules: [] } } };
}

/** Sets that contain a group came or went. */
export function peerGroupItem(change: {
  readonly groupId: string;
  readonly added: readonly number[];
  readonly removed: readonly number[];
}): HostItem {
  const { groupId: securityGroupId, added, removed } = change;
  return { item: { $case: "peerGroup", value: { securityGroupId, addedGroupSetIds: [...added], removedGroupSetIds: [...removed] } } };
}

/** Full-length prefix of an interface address ("10.0.1.5/24" → "10.0.1.5/32"). */
export function prefixOf(address: string): string {
  const [ip = ""] = address.split("/");
  return `${ip}/${ip.includes(":") ? 128 : 32}`;
}

/** What the network is told: each of its addresses lives at this host now. */
export function mappingItems(of: Carried, host: { readonly hostId: string; readonly substrateAddress: string }): MappingItem[] {
  const target = {
    interfaceId: of.interfaceId,
    attachmentId: of.attachmentId,
    wireId: of.wireId,
    hostId: host.hostId,
    hostAddress: host.substrateAddress,
    groupSetId: of.groupSetId,
    macAddress: macOfWireId(of.wireId),
    weight: 1,
  };
  return of.addresses.map((address) => ({ prefix: prefixOf(address), targets: [target] }));
}

/** What the network is told: its addresses live nowhere. */
export function mappingsGone(of: Pick<Carried, "addresses">): MappingItem[] {
  return of.addresses.map((address) => ({ prefix: prefixOf(address), targets: [] }));
}
