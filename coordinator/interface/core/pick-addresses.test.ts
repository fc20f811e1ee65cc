import fc from "fast-check";
import { expect, test } from "vitest";
import { freeIn, nextAfter, windowsFrom } from "./pick-addresses.ts";

const range = fc.tuple(fc.bigInt(0n, 5_000n), fc.bigInt(0n, 3_000n)).map(([first, size]) => ({ first, last: first + size }));

test("the windows are the whole range, each address once, beginning at the hint", () => {
  fc.assert(
    fc.property(range, fc.bigInt(0n, 9_000n), fc.integer({ min: 1, max: 1_000 }), (given, next, count) => {
      const windows = [...windowsFrom(given, next, count)];
      const inside = next >= given.first && next <= given.last;
      expect(windows[0]?.first).toBe(inside ? next : given.first);
      const seen = windows.flatMap(({ first, last }) =>
        Array.from({ length: Number(last - first) + 1 }, (_, index) => first + BigInt(index)),
      );
      expect(seen).toHaveLength(Number(given.last - given.first) + 1);
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.every((address) => address >= given.first && address <= given.last)).toBe(true);
    }),
  );
});

test("as many are picked as are free, none of them taken, none twice", () => {
  fc.assert(
    fc.property(
      range,
      fc.uniqueArray(fc.bigInt(0n, 8_000n), { maxLength: 400 }),
      fc.bigInt(0n, 8_000n),
      fc.integer({ min: 1, max: 500 }),
      (given, used, next, count) => {
        const taken = new Set(used);
        const picked: bigint[] = [];
        for (const window of windowsFrom(given, next, count)) picked.push(...freeIn(window, taken, count - picked.length));
        const free =
          Number(given.last - given.first) + 1 - used.filter((address) => address >= given.first && address <= given.last).length;
        expect(picked).toHaveLength(Math.min(count, free));
        expect(new Set(picked).size).toBe(picked.length);
        expect(picked.some((address) => taken.has(address))).toBe(false);
      },
    ),
  );
});

test("the next pick begins behind the last, and at the start after the end", () => {
  const given = { first: 10n, last: 20n };
  expect(nextAfter(given, [12n, 13n])).toBe(14n);
  expect(nextAfter(given, [20n])).toBe(10n);
  expect(nextAfter(given, [])).toBeUndefined();
});
