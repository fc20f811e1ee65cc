import { WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import type { MappingItem, PackedMappings } from "#gen/plenum/mapping/v1/mapping.ts";

/** An encoded `WatchMappingsResponse`: made once, sent to many. */
export type Frame = Uint8Array;

/** Which network, and its VNI. */
export interface NetworkName {
  readonly networkId: bigint;
  readonly vni: number;
}

function encode(network: NetworkName, message: WatchMappingsResponse["message"]): Frame {
  return WatchMappingsResponse.encode({ networkId: network.networkId, vni: network.vni, message }).finish();
}

export function beginFrame(network: NetworkName, subscription: bigint, version: bigint): Frame {
  return encode(network, { $case: "begin", value: { subscription, version } });
}

export function snapshotFrame(network: NetworkName, packed: PackedMappings): Frame {
  return encode(network, { $case: "snapshot", value: packed });
}

export function inSyncFrame(network: NetworkName, version: bigint): Frame {
  return encode(network, { $case: "inSync", value: { version } });
}

export function deltaFrame(network: NetworkName, version: bigint, items: MappingItem[]): Frame {
  return encode(network, { $case: "delta", value: { version, items } });
}

/** The VNI is left out: whoever may not watch a network learns nothing of it. */
export function refusedFrame(networkId: bigint, subscription: bigint, message: string): Frame {
  return encode({ networkId, vni: 0 }, { $case: "refused", value: { message, subscription } });
}
