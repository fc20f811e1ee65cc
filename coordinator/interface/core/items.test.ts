import fc from "fast-check";
import { expect, test } from "vitest";
import { HostChange, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import { attachmentItem, mappingItems, mappingsGone, prefixOf, rulesetGone } from "./items.ts";
import type { Carried } from "./items.ts";
import { GATEWAY_MAC, macOfWireId } from "./mac.ts";

const carried: Carried = {
  attachmentId: "eni-attach-1",
  interfaceId: "eni-1",
  instanceId: "i-1",
  generation: 3n,
  wanted: Wanted.PRESENT,
  wireId: 0x0a0b0c0d,
  deviceIndex: 1,
  networkId: 7n,
  vni: 4_096,
  addresses: ["10.0.1.5/24", "10.0.1.6/24"],
  gateway: "10.0.1.1",
  rulesetId: 9,
  groupSetId: 11,
  meterId: 1n << 40n,
  sourceDestCheck: true,
  dnsServers: ["10.0.1.2"],
  disabled: false,
};

test("every wire id has a MAC of its own: locally administered, unicast, never the router's", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), (wireId) => {
      const octets = macOfWireId(wireId)
        .split(":")
        .map((octet) => parseInt(octet, 16));
      expect(octets).toHaveLength(6);
      expect((octets[0] ?? 0) & 0b11).toBe(0b10);
      expect(macOfWireId(wireId)).not.toBe(GATEWAY_MAC);
      expect(octets.slice(2).reduce((value, octet) => value * 256 + octet, 0)).toBe(wireId);
    }),
  );
  for (const wrong of [0, -1, 1.5, 0x1_0000_0000]) expect(() => macOfWireId(wrong)).toThrow(RangeError);
});

test("changes of one transaction join by joining their bytes", () => {
  const one = HostChange.encode({ version: 0n, inSnapshot: false, items: [rulesetGone(4)] }).finish();
  const two = HostChange.encode({ version: 0n, inSnapshot: false, items: [attachmentItem(carried)] }).finish();
  expect(HostChange.decode(Buffer.concat([one, two])).items).toEqual([rulesetGone(4), attachmentItem(carried)]);
  const gone = NetworkChange.encode({ version: 0n, items: mappingsGone(carried) }).finish();
  expect(NetworkChange.decode(Buffer.concat([gone, gone])).items).toHaveLength(4);
});

test("an address is mapped by its full-length prefix, and goes by having no target", () => {
  const items = mappingItems(carried, { hostId: "host-1", substrateAddress: "198.18.0.1" });
  expect(items.map((item) => item.prefix)).toEqual(["10.0.1.5/32", "10.0.1.6/32"]);
  expect(items[0]?.targets).toMatchObject([
    { wireId: 0x0a0b0c0d, hostAddress: "198.18.0.1", groupSetId: 11, macAddress: "02:70:0a:0b:0c:0d", weight: 1 },
  ]);
  expect(mappingsGone(carried).map((item) => item.targets)).toEqual([[], []]);
  expect(prefixOf("2001:db8::1/64")).toBe("2001:db8::1/128");
});
