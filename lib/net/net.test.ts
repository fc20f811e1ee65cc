import { Address4, Address6 } from "ip-address";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressBytes, addressOfBytes, bitsOf, formatAddress, parseAddress } from "./address.ts";
import type { Address } from "./address.ts";
import {
  assignableRange,
  blockOf,
  cidr,
  containsAddress,
  containsCidr,
  formatCidr,
  isCidr,
  isReserved,
  lastOf,
  nthAddress,
  overlaps,
  parseCidr,
  routerOf,
  sizeOf,
} from "./cidr.ts";
import type { Cidr } from "./cidr.ts";

const family = fc.constantFrom<4 | 6>(4, 6);
const address: fc.Arbitrary<Address> = family.chain((f) =>
  fc.bigInt({ min: 0n, max: (1n << BigInt(bitsOf(f))) - 1n }).map((value) => ({ family: f, value })),
);
/** IPv6 addresses with runs of zeros, which random ones never have. */
const sparse: fc.Arbitrary<Address> = fc
  .array(fc.constantFrom(0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 })
  .map((groups) => ({ family: 6, value: groups.reduce<bigint>((value, group) => (value << 16n) | group, 0n) }));
const block: fc.Arbitrary<Cidr> = address.chain((one) =>
  fc.integer({ min: 0, max: bitsOf(one.family) }).map((prefix) => blockOf(one, prefix)),
);
/** Two blocks of one family that are near each other, so that nesting occurs. */
const pair = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 63n }),
    fc.integer({ min: 24, max: 32 }),
    fc.bigInt({ min: 0n, max: 63n }),
    fc.integer({ min: 24, max: 32 }),
  )
  .map(([a, p, b, q]) => [blockOf({ family: 4, value: a }, p), blockOf({ family: 4, value: b }, q)] as const);

describe("addresses", () => {
  it("come back from their text and their bytes", () => {
    fc.assert(
      fc.property(fc.oneof(address, sparse), (one) => {
        expect(parseAddress(formatAddress(one))).toEqual(one);
        expect(addressOfBytes(addressBytes(one))).toEqual(one);
      }),
    );
  });

  it("are written as another library writes them", () => {
    fc.assert(
      fc.property(fc.oneof(address, sparse), (one) => {
        const other = one.family === 4 ? Address4.fromBigInt(one.value) : Address6.fromBigInt(one.value);
        expect(formatAddress(one)).toBe(other.correctForm());
      }),
    );
  });

  it.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "1.2.3.4 ",
    "::1::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8:9",
    "12345::",
    "g::",
    "fe80::1%eth0",
    "1.2.3.4::",
    ":1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:",
    ":::",
  ])("%j is none", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it("take IPv6's ways of writing", () => {
    for (const text of ["::ffff:1.2.3.4", "::FFFF:102:304", "0:0:0:0:0:ffff:102:304"])
      expect(formatAddress(parseAddress(text)!)).toBe("::ffff:102:304");
    expect(formatAddress(parseAddress("1:0:0:2:0:0:0:3")!)).toBe("1:0:0:2::3");
    expect(formatAddress(parseAddress("1:2:3:4:5:6:7::")!)).toBe("1:2:3:4:5:6:7:0");
  });
});

describe("CIDR blocks", () => {
  it("come back from their text", () => {
    fc.assert(
      fc.property(block, (one) => {
        expect(parseCidr(formatCidr(one))).toEqual(one);
      }),
    );
  });

  it("hold exactly the addresses from their first to their last", () => {
    fc.assert(
      fc.property(block, address, (one, any) => {
        expect(containsAddress(one, nthAddress(one, 0n))).toBe(true);
        expect(containsAddress(one, nthAddress(one, sizeOf(one) - 1n))).toBe(true);
        expect(containsAddress(one, { family: one.family, value: one.base - 1n })).toBe(false);
        expect(containsAddress(one, { family: one.family, value: lastOf(one) + 1n })).toBe(false);
        expect(containsAddress(one, any)).toBe(any.family === one.family && blockOf(any, one.prefix).base === one.base);
        expect(() => nthAddress(one, sizeOf(one))).toThrow(RangeError);
      }),
    );
  });

  it("overlap when they share an address, and contain when they share all of the inner", () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        const members = (b: Cidr): bigint[] => Array.from({ length: Number(sizeOf(b)) }, (_, index) => b.base + BigInt(index));
        const theirs = new Set(members(other));
        const shared = members(one).filter((value) => theirs.has(value)).length;
        expect(overlaps(one, other)).toBe(shared > 0);
        expect(containsCidr(one, other)).toBe(shared === theirs.size);
      }),
    );
    expect(overlaps(cidr("0.0.0.0/0"), cidr("::/0"))).toBe(false);
  });

  it("say what is wrong", () => {
    expect(parseCidr("10.0.0.1/16")).toEqual({ kind: "host-bits", network: "10.0.0.0/16" });
    for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "::/129", "/8", "10.0.0.0/"]) {
      const parsed = parseCidr(text);
      expect(isCidr(parsed) ? "block" : parsed.kind).toBe("syntax");
    }
    expect(() => cidr("10.0.0.1/16")).toThrow(RangeError);
  });

  it("keep some addresses of a subnet for the network, and give the rest", () => {
    const kept = (text: string): string[] => {
      const subnet = cidr(text);
      return Array.from({ length: Number(sizeOf(subnet)) }, (_, index) => nthAddress(subnet, BigInt(index)))
        .filter((one) => isReserved(subnet, one))
        .map(formatAddress);
    };
    expect(kept("10.0.1.0/28")).toEqual(["10.0.1.0", "10.0.1.1", "10.0.1.2", "10.0.1.15"]);
    expect(kept("fd00::/125")).toEqual(["fd00::", "fd00::1", "fd00::2"]);
    expect(formatAddress(routerOf(cidr("10.0.1.0/28")))).toBe("10.0.1.1");
    expect(assignableRange(cidr("10.0.1.0/30"))).toBeUndefined();
    const subnet = cidr("10.0.1.0/28");
    const range = assignableRange(subnet)!;
    for (let value = subnet.base; value <= lastOf(subnet); value += 1n) {
      expect(value >= range.first && value <= range.last).toBe(!isReserved(subnet, { family: 4, value }));
    }
  });
});
