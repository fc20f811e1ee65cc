import fc from "fast-check";
import { expect, test } from "vitest";
import { nextAfter, Picking, windowsFrom } from "./pick-addresses.ts";
import type { Lien } from "./pick-addresses.ts";

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

test("as many are picked as are free, none of them taken, none twice; one with a lien only when all without are picked", () => {
  const some = fc.uniqueArray(fc.bigInt(0n, 8_000n), { maxLength: 400 });
  fc.assert(
    fc.property(
      range,
      some,
      some,
      some,
      fc.bigInt(0n, 8_000n),
      fc.integer({ min: 1, max: 500 }),
      (given, used, residue, held, next, count) => {
        const taken = new Set(used);
        const liens = new Map<bigint, Lien>([
          ...residue.map((one) => [one, "residue"] as const),
          ...held.map((one) => [one, "held"] as const),
        ]);
        const picking = new Picking(count);
        for (const window of windowsFrom(given, next, count)) {
          picking.look(window, taken, liens);
          if (picking.enough) break;
        }
        const picked = picking.picked();
        const inside = (address: bigint) => address >= given.first && address <= given.last;
        const free = Number(given.last - given.first) + 1 - used.filter(inside).length;
        expect(picked).toHaveLength(Math.min(count, free));
        expect(new Set(picked).size).toBe(picked.length);
        expect(picked.some((address) => taken.has(address) || !inside(address))).toBe(false);
        const bound = [...liens].filter(([address]) => inside(address) && !taken.has(address));
        const ofLien = (lien: Lien) => picked.filter((address) => liens.get(address) === lien).length;
        const unbound = free - bound.length;
        const left = bound.filter(([, lien]) => lien === "residue").length;
        expect(ofLien("residue")).toBe(Math.min(left, Math.max(0, picked.length - unbound)));
        expect(ofLien("held")).toBe(Math.max(0, picked.length - unbound - left));
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
