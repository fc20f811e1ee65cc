import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HintBuffer } from "./hint-buffer.ts";
import { decodeBookmark, encodeBookmark, NOWHERE } from "./position.ts";

const number = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });

describe("a bookmark", () => {
  it("comes back as the position that it was made of", () => {
    fc.assert(
      fc.property(number, number, (version, mark) => {
        expect(decodeBookmark(encodeBookmark({ version, mark }))).toEqual({ version, mark });
      }),
    );
  });

  it("is nothing when empty, and nowhere when it is none of ours, whatever the bytes", () => {
    expect(decodeBookmark(new Uint8Array())).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        const { version, mark } = decodeBookmark(bytes) ?? expect.unreachable();
        if (bytes.length !== 17 || bytes[0] !== 1) expect({ version, mark }).toEqual(NOWHERE);
        expect(version < 2n ** 63n && mark < 2n ** 63n).toBe(true);
      }),
    );
    expect(decodeBookmark(Buffer.concat([Buffer.from([1]), Buffer.alloc(16, 0xff)]))).toEqual(NOWHERE);
  });
});

describe("hints that wait", () => {
  const hint = (prev: bigint, octets: number) => ({ scope: "host:a", prev, version: prev + 1n, delta: new Uint8Array(octets) });

  it("are bounded in number and in octets, and are forgotten when passed", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 200n }), fc.nat(400_000)), { maxLength: 200 }), number, (all, passed) => {
        const waiting = new HintBuffer();
        for (const [prev, octets] of all) waiting.add(hint(prev, octets));
        const kept = () => Array.from({ length: 201 }, (_, prev) => waiting.on(BigInt(prev))).filter((one) => one !== undefined);
        expect(kept().length).toBeLessThanOrEqual(64);
        expect(waiting.octets).toBeLessThanOrEqual(1_048_576);
        expect(waiting.octets).toBe(kept().reduce((sum, one) => sum + one.delta!.length, 0));
        waiting.passed(passed % 200n);
        for (const one of kept()) expect(one.version).toBeGreaterThan(passed % 200n);
        waiting.clear();
        expect([waiting.octets, kept().length]).toEqual([0, 0]);
      }),
    );
  });

  it("without their change are not kept", () => {
    const waiting = new HintBuffer();
    waiting.add({ scope: "host:a", prev: 1n, version: 2n });
    expect(waiting.on(1n)).toBeUndefined();
  });
});
