import fc from "fast-check";
import { expect, test } from "vitest";
import { PackedMappings } from "#gen/plenum/mapping/v1/mapping.ts";
import { MappingPacker, PackedRecords, unpackMappings } from "./packed.ts";
import type { PackedMapping } from "./packed.ts";
import { encodePrefix, PREFIX_OCTETS } from "./prefix.ts";

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const mapping: fc.Arbitrary<PackedMapping> = fc.record({
  prefix: fc.oneof(
    fc.ipV4().map((address) => `${address}/32`),
    uint32.map((low) => `fd00::${(low >>> 16).toString(16)}:1/128`),
  ),
  hostAddress: fc.constantFrom("198.18.0.1", "198.18.0.2", "198.18.0.3"),
  wireId: uint32,
  groupSetId: uint32,
});

function pack(mappings: readonly PackedMapping[]): PackedMappings {
  const packer = new MappingPacker(mappings.length);
  const prefix = new Uint8Array(PREFIX_OCTETS + 1);
  for (const one of mappings) {
    encodePrefix(one.prefix, prefix, 1);
    packer.add(prefix, 1, one.wireId, one.hostAddress, one.groupSetId);
  }
  return packer.finish();
}

test("what is packed comes out again, over the wire too, in 30 octets each", () => {
  fc.assert(
    fc.property(fc.array(mapping, { maxLength: 50 }), (mappings) => {
      const bytes = PackedMappings.encode(pack(mappings)).finish();
      const canonical = mappings.map((one) => ({ ...one, prefix: one.prefix.replace("fd00::0:", "fd00::") }));
      expect([...unpackMappings(new PackedRecords(PackedMappings.decode(bytes)))]).toEqual(canonical);
      expect(bytes.length).toBeLessThanOrEqual(mappings.length * 30 + 64);
    }),
  );
});

test("the layout is the contract's", () => {
  const packed = pack([{ prefix: "10.0.1.5/32", hostAddress: "198.18.0.7", wireId: 0x01020304, groupSetId: 0x0a0b0c0d }]);
  expect(Buffer.from(packed.records).toString("hex")).toBe(`04200a000105${"00".repeat(12)}01020304${"0000"}${"0000"}`);
  expect(Buffer.from(packed.groupSets).toString("hex")).toBe("0a0b0c0d");
  expect(packed.hosts).toEqual(["198.18.0.7"]);
});

test.each<[string, (packed: PackedMappings) => void]>([
  ["half a record", (packed) => (packed.records = packed.records.subarray(1))],
  ["a group set too few", (packed) => (packed.groupSets = packed.groupSets.subarray(4))],
  ["a host that is not there", (packed) => (packed.hosts = [])],
  ["a family that is none", (packed) => (packed.records[0] = 5)],
  ["a length that is none", (packed) => (packed.records[1] = 33)],
])("%s is refused", (_what, spoil) => {
  const packed = pack([{ prefix: "10.0.1.5/32", hostAddress: "198.18.0.7", wireId: 1, groupSetId: 2 }]);
  spoil(packed);
  expect(() => new PackedRecords(packed)).toThrow(RangeError);
});

test("a full packer says so and takes no more", () => {
  const packer = new MappingPacker(1);
  const prefix = new Uint8Array(PREFIX_OCTETS);
  encodePrefix("10.0.0.1", prefix);
  packer.add(prefix, 0, 1, "198.18.0.1", 0);
  expect(packer.fits(1)).toBe(false);
  expect(() => packer.add(prefix, 0, 1, "198.18.0.1", 0)).toThrow(RangeError);
});
