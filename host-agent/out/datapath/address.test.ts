import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ADDRESS_WORDS, textOfWords, wordsOfText } from "../../core/address-words.ts";
import { addressKey, keyText, blockKey, blockOf } from "./address.ts";

function inWords(text: string): Uint32Array {
  const words = new Uint32Array(ADDRESS_WORDS);
  wordsOfText(text, words);
  return words;
}

describe("addresses as maps hold them", () => {
  test("come back as the text they were, IPv4 and IPv6", () => {
    fc.assert(fc.property(fc.ipV4(), (text) => keyText(addressKey(text)) === text));
    expect(keyText(addressKey("fd00:0:0::5"))).toBe("fd00::5");
  });

  test("are the same in the words of the core", () => {
    const plain = fc.oneof(
      fc.ipV4(),
      fc.ipV6().filter((text) => !text.includes(".")),
    );
    fc.assert(fc.property(plain, (text) => Buffer.from(inWords(text).buffer).equals(addressKey(text))));
    fc.assert(fc.property(plain, (text) => textOfWords(inWords(text)).address === keyText(addressKey(text))));
    expect(Buffer.from(inWords("10.0.0.5/32").buffer)).toEqual(addressKey("10.0.0.5"));
    expect(textOfWords(inWords("fd00::5/128"))).toEqual({ address: "fd00::5", length: 128 });
  });

  test.each(["10.0.0.0/24", "10.0.0.256", "10.0.0", "", "fd00::/64", "10.0.0.5/33", "10.0.0.5 "])("%j is refused", (text) => {
    expect(() => addressKey(text)).toThrow(RangeError);
    expect(() => inWords(text)).toThrow(RangeError);
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
