import { expect, test } from "vitest";
import type { MappingItem, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import { MappingPacker, unpackMappings } from "./packed.ts";
import { encodePrefix, PREFIX_OCTETS } from "./prefix.ts";
import { MappingReceiver } from "./receiver.ts";

const NETWORK = 3n;
type Message = WatchMappingsResponse["message"];
const NONE = Buffer.alloc(0);
const response = (message: Message, networkId = NETWORK, bookmark = NONE): WatchMappingsResponse => ({
  networkId,
  vni: 9,
  message,
  bookmark,
});
const begin = (subscription: bigint): WatchMappingsResponse => response({ $case: "begin", value: { subscription, version: 0n } });
const inSync = (version: bigint): WatchMappingsResponse => response({ $case: "inSync", value: { version } });
const refused = (subscription: bigint): WatchMappingsResponse => response({ $case: "refused", value: { message: "why", subscription } });
const delta = (version: bigint, items: MappingItem[] = []): WatchMappingsResponse =>
  response({ $case: "delta", value: { version, items } });

function snapshot(): WatchMappingsResponse {
  const prefix = new Uint8Array(PREFIX_OCTETS);
  encodePrefix("10.0.0.1/32", prefix);
  const packer = new MappingPacker(1);
  packer.add(prefix, 0, 5, "198.18.0.1", 6);
  return response({ $case: "snapshot", value: packer.finish() });
}

const mapping = { prefix: "10.0.0.1/32", hostAddress: "198.18.0.1", wireId: 5, groupSetId: 6 };
const item: MappingItem = {
  prefix: mapping.prefix,
  targets: [
    { ...mapping, interfaceId: "eni-1", attachmentId: "eni-attach-1", hostId: "host-1", macAddress: "02:00:00:00:00:01", weight: 1 },
  ],
};

/** A receiver that has subscribed to the network, and is in sync at `version` if one is given. */
function subscribed(version?: bigint): MappingReceiver {
  const receiver = new MappingReceiver();
  receiver.subscribe(NETWORK);
  if (version !== undefined) for (const one of [begin(1n), inSync(version)]) receiver.receive(one);
  return receiver;
}

test("begin, snapshot, in sync, delta", () => {
  const receiver = subscribed();
  expect(receiver.receive(begin(1n))).toEqual({ kind: "begin", networkId: NETWORK, vni: 9 });
  const put = receiver.receive(snapshot());
  expect(put).toMatchObject({ kind: "put", networkId: NETWORK, vni: 9 });
  expect(put?.kind === "put" && [...unpackMappings(put.records)]).toEqual([mapping]);
  expect(receiver.version(NETWORK)).toBeUndefined();
  expect(receiver.receive(inSync(4n))).toEqual({ kind: "inSync", networkId: NETWORK, vni: 9, version: 4n });
  const change = { kind: "change", networkId: NETWORK, vni: 9, version: 5n, prefixes: ["10.0.0.1/32", "10.0.0.2/32"], mappings: [mapping] };
  expect(receiver.receive(delta(5n, [item, { prefix: "10.0.0.2/32", targets: [] }]))).toEqual(change);
  expect(receiver.version(NETWORK)).toBe(5n);
});

test("what belongs to an earlier Subscribe is ignored: its in_sync would delete what is alive", () => {
  const receiver = subscribed(4n);
  receiver.subscribe(NETWORK);
  for (const old of [delta(5n), begin(1n), snapshot(), inSync(5n), refused(1n)]) expect(receiver.receive(old)).toBeUndefined();
  expect(receiver.receive(begin(2n))).toMatchObject({ kind: "begin" });
});

test("a gap asks for the network anew, once; a repeat is nothing", () => {
  const receiver = subscribed(4n);
  expect(receiver.receive(delta(4n))).toBeUndefined();
  expect(receiver.receive(delta(6n))).toEqual({
    kind: "resubscribe",
    networkId: NETWORK,
    request: { message: { $case: "subscribe", value: { networkId: NETWORK, subscription: 2n, resumeToken: NONE } } },
  });
  expect(receiver.receive(delta(7n))).toBeUndefined();
  expect(receiver.version(NETWORK)).toBeUndefined();
});

test("a snapshot in the middle starts again, under the same subscription", () => {
  const receiver = subscribed(4n);
  expect(receiver.receive(begin(1n))).toMatchObject({ kind: "begin" });
  expect(receiver.receive(delta(5n))).toBeUndefined();
  expect(receiver.receive(inSync(9n))).toMatchObject({ kind: "inSync", version: 9n });
  expect(receiver.receive(delta(10n))).toMatchObject({ kind: "change", version: 10n });
});

test("a refusal ends it; what is unsubscribed or was never asked for is ignored", () => {
  const receiver = subscribed(4n);
  expect(receiver.receive(refused(1n))).toEqual({ kind: "refused", networkId: NETWORK, message: "why" });
  expect(receiver.receive(delta(5n))).toBeUndefined();
  const other = subscribed(4n);
  other.unsubscribe(NETWORK);
  expect(other.receive(delta(5n))).toBeUndefined();
  expect(other.receive(response({ $case: "begin", value: { subscription: 1n, version: 0n } }, 77n))).toBeUndefined();
});
