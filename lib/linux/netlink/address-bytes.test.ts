import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressBytes, addressText, macBytes, macText, networkText, prefixBytes, prefixText } from "./address-bytes.ts";

describe("addresses for the kernel", () => {
  it("come back as the text they were", () => {
    const bytesOf = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(fc.constantFrom(4, 16).chain(bytesOf), (bytes) => {
        expect(addressBytes(addressText(bytes)).bytes).toEqual(bytes);
      }),
    );
    fc.assert(
      fc.property(bytesOf(6), (bytes) => {
        expect(macBytes(macText(bytes))).toEqual(bytes);
      }),
    );
  });

  it.each([
    ["10.0.1.77/24", "10.0.1.0/24"],
    ["10.0.1.77/30", "10.0.1.76/30"],
    ["10.0.1.77", "10.0.1.77/32"],
    ["10.0.1.77/0", "0.0.0.0/0"],
    ["fd00:1::7/64", "fd00:1::/64"],
    ["FD00:0:0::FF/121", "fd00::80/121"],
  ])("%s lies in %s", (text, network) => expect(networkText(text)).toBe(network));

  it("are written in one way", () => expect(prefixText("FD00:0:0::5/64")).toBe("fd00::5/64"));

  it.each(["", "10.0.0", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/", "10.0.0.1/8/8", "fe80::1%eth0", "::/129", "a.b.c.d"])(
    "%s is none",
    (text) => {
      expect(() => prefixBytes(text)).toThrow(RangeError);
    },
  );

  it.each(["", "02:00:00:00:00", "02:00:00:00:00:0g", "020000000001"])("%s is no MAC", (text) => {
    expect(() => macBytes(text)).toThrow(RangeError);
  });
});
