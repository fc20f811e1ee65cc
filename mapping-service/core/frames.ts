import { WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import type { MappingItem, PackedMappings } from "#gen/plenum/mapping/v1/mapping.ts";
import { encodeBookmark } from "#lib/feed/feed.ts";
import type { Position } from "#lib/feed/feed.ts";

/** An encoded `WatchMappingsResponse`: made once, sent to many. */
export type Frame = Uint8Array;

/** Which network, and its VNI. */
export interface NetworkName {
  readonly networkId: bigint;
  readonly vni: number;
}

const NO_BOOKMARK = Buffer.alloc(0);

function encode(network: NetworkName, message: WatchMappingsResponse["message"], at?: Position): Frame {
  const bookmark = at === undefined ? NO_BOOKMARK : encodeBookmark(at);
  return WatchMappingsResponse.encode({ networkId: network.networkId, vni: network.vni, message, bookmark }).finish();
}

export function beginFrame(network: NetworkName, subscription: bigint, version: bigint): Frame {
  return encode(network, { $case: "begin", value: { subscription, version } });
}

export function snapshotFrame(network: NetworkName, packed: PackedMappings): Frame {
  return encode(network, { $case: "snapshot", value: packed });
}

export function inSyncFrame(network: NetworkName, at: Position): Frame {
  return encode(network, { $case: "inSync", value: { version: at.version } }, at);
}

export function deltaFrame(network: NetworkName, at: Position, items: MappingItem[]): Frame {
  return encode(network, { $case: "delta", value: { version: at.version, items } }, at);
}

export function resumedFrame(network: NetworkName, subscription: bigint, version: bigint): Frame {
  return encode(network, { $case: "resumed", value: { subscription, version } });
}

export function historyGoneFrame(network: NetworkName, subscription: bigint): Frame {
  return encode(network, { $case: "historyGone", value: { subscription } });
}

/** The VNI is left out: whoever may not watch a network learns nothing of it. */
export function refusedFrame(networkId: bigint, subscription: bigint, message: string): Frame {
  return encode({ networkId, vni: 0 }, { $case: "refused", value: { message, subscription } });
}
