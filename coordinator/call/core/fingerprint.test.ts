import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CreateVpcRequest } from "#gen/plenum/network/v1/vpc.ts";
import { canonical, fingerprint } from "./fingerprint.ts";

describe("fingerprint", () => {
  it("does not depend on the order of a map", () => {
    const tags = fc.dictionary(fc.string(), fc.string(), { maxKeys: 6 });
    fc.assert(
      fc.property(tags, (map) => {
        const backwards = Object.fromEntries(Object.entries(map).toReversed());
        const one = CreateVpcRequest.fromPartial({ name: "n", tags: map });
        const other = CreateVpcRequest.fromPartial({ name: "n", tags: backwards });
        expect(fingerprint(one)).toEqual(fingerprint(other));
      }),
    );
  });

  it("tells values of different kinds apart", () => {
    const values = [
      1,
      "1",
      1n,
      [1],
      ["1"],
      { a: 1 },
      { a: "1" },
      new Date(1),
      Uint8Array.of(1),
      null,
      true,
      new Map([[1n, 1]]),
      [[1]],
      "[1]",
    ];
    expect(new Set(values.map(canonical)).size).toBe(values.length);
  });

  it("is the same for equal texts only", () => {
    fc.assert(fc.property(fc.json(), fc.json(), (a, b) => (canonical(JSON.parse(a)) === canonical(JSON.parse(b))) === sameJson(a, b)));
  });
});

function sameJson(a: string, b: string): boolean {
  try {
    expect(JSON.parse(a)).toEqual(JSON.parse(b));
    return true;
  } catch {
    return false;
  }
}
