import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressKey, keyPrefixText, keyText, blockKey, blockOf, writeAddressKey } from "./address.ts";

function written(text: string): Buffer {
  const buffer = Buffer.alloc(20, 0xee);
  writeAddressKey(text, buffer, 2);
  expect([buffer[0], buffer[1], buffer[18], buffer[19]]).toEqual([0xee, 0xee, 0xee, 0xee]);
  return buffer.subarray(2, 18);
}

describe("addresses as maps hold them", () => {
  test("come back as the text they were, IPv4 and IPv6", () => {
    fc.assert(fc.property(fc.ipV4(), (text) => keyText(addressKey(text)) === text));
    expect(keyText(addressKey("fd00:0:0::5"))).toBe("fd00::5");
    expect(keyPrefixText(addressKey("10.0.0.5/32"))).toBe("10.0.0.5/32");
    expect(keyPrefixText(addressKey("fd00::5"))).toBe("fd00::5/128");
  });

  test("are written the same the fast way", () => {
    fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => written(text).equals(addressKey(text))));
    expect(written("10.0.0.5/32")).toEqual(addressKey("10.0.0.5"));
  });

  test.each(["10.0.0.0/24", "10.0.0.256", "10.0.0", "", "fd00::/64", "10.0.0.5/33", "10.0.0.5 "])("%j is refused", (text) => {
    expect(() => addressKey(text)).toThrow(RangeError);
    expect(() => written(text)).toThrow(RangeError);
  });
});

describe("networks", () => {
  /** What a trie does. */
  const matches = (cidr: string, address: string): boolean => {
    const block = blockOf(cidr);
    const { network, length } = blockKey(block);
    const bits = (bytes: Buffer): string => Array.from(bytes, (b) => b.toString(2).padStart(8, "0")).join("");
    const same = bits(network).slice(0, length) === bits(addressKey(address)).slice(0, length);
    return same && block.family === (address.includes(":") ? 6 : 4);
  };

  test("match their addresses and no others", () => {
    expect(matches("10.0.0.5/24", "10.0.0.255")).toBe(true);
    expect(matches("10.0.0.0/24", "10.0.1.0")).toBe(false);
    expect(matches("10.0.0.128/25", "10.0.0.127")).toBe(false);
    expect(matches("10.0.0.5/32", "10.0.0.5")).toBe(true);
    expect(matches("0.0.0.0/0", "203.0.113.9")).toBe(true);
    expect(matches("0.0.0.0/0", "fd00::1")).toBe(false);
    expect(matches("::/0", "10.0.0.1")).toBe(false);
    expect(matches("fd00::/8", "fdff::1")).toBe(true);
    expect(matches("fd00::/8", "fe00::1")).toBe(false);
  });
});
