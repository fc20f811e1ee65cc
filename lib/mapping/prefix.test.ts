import fc from "fast-check";
import { expect, test } from "vitest";
import { parseAddress } from "#lib/net/address.ts";
import { decodePrefix, encodePrefix, isAddress, PREFIX_OCTETS } from "./prefix.ts";

const through = (text: string): string => {
  // Not at the start, and over old bytes: what was there before must not shine through.
  const bytes = new Uint8Array(PREFIX_OCTETS + 3).fill(0xff);
  encodePrefix(text, bytes, 3);
  return decodePrefix(bytes, 3);
};

test.each([
  ["10.0.1.5/32", "10.0.1.5/32"],
  ["10.0.1.5", "10.0.1.5/32"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["10.128.0.0/9", "10.128.0.0/9"],
  ["fd00:0:0:0:0:0:0:1/128", "fd00::1/128"],
  ["::", "::/128"],
  ["::/0", "::/0"],
  ["1:0:0:2:0:0:0:3", "1:0:0:2::3/128"],
  ["1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0/128"],
  ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4/128"],
  ["::ffff:10.0.0.1", "::ffff:a00:1/128"],
  ["FD00::A/128", "fd00::a/128"],
])("%s is %s", (text, canonical) => {
  expect(through(text)).toBe(canonical);
});

test.each([
  "",
  "/",
  "10.0.0.1/33",
  "10.0.0.1/24",
  "10.0.0",
  "10.0.0.0.0",
  "10.0.0.256",
  "10.0.0.01",
  "10.0.0.1/",
  "10.0.0.1/032",
  "10..0.1",
  "fd00::1%eth0",
  "fd00::/129",
  "fd00::1/64",
  " 10.0.0.1",
  "1:2:3",
  "x",
])("%j is refused", (text) => {
  expect(() => through(text)).toThrow(RangeError);
});

test("every address of both families comes back as it went in", () => {
  fc.assert(
    fc.property(fc.constantFrom(4, 6), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(128), (family, address, wanted) => {
      const octets = family === 4 ? 4 : 16;
      const length = Math.min(wanted, octets * 8);
      const bytes = new Uint8Array(PREFIX_OCTETS);
      bytes.set([family, length]);
      for (let bit = 0; bit < length; bit += 1) bytes[2 + (bit >> 3)]! |= address[bit >> 3]! & (0x80 >> (bit & 7));
      const again = new Uint8Array(PREFIX_OCTETS);
      encodePrefix(decodePrefix(bytes), again);
      expect(again).toEqual(bytes);
    }),
  );
});

test("an address has no length", () => {
  expect([isAddress("10.0.0.1"), isAddress("fd00::1"), isAddress("10.0.0.1/32"), isAddress("host")]).toEqual([true, true, false, false]);
});

test("what is an address here is one everywhere", () => {
  const piece = fc.oneof(
    fc.constantFrom("", "0", "::", ":", ".", "1", "00", "255", "256", "ffff", "fffff", "%", "/32", " "),
    fc.ipV4(),
    fc.ipV6(),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.ipV4(),
        fc.ipV6(),
        fc.array(piece, { maxLength: 9 }).map((all) => all.join("")),
      ),
      (text) => {
        expect([text, isAddress(text)]).toEqual([text, parseAddress(text) !== undefined]);
      },
    ),
    { numRuns: 2_000 },
  );
});
