import { expect, it } from "vitest";
import { backoffMs, spreadBackoffMs } from "./backoff.ts";

const backoff = { firstMs: 100, maxMs: 1_000 };

it("doubles from the first wait to the longest, and stays there", () => {
  expect([1, 2, 3, 4, 5, 6, 5_000].map((failures) => backoffMs(backoff, failures))).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

it("spreads a wait over its upper half", () => {
  expect([0, 0.5, 1].map((random) => spreadBackoffMs(backoff, 2, random))).toEqual([100, 150, 200]);
  const some = Array.from({ length: 50 }, () => spreadBackoffMs(backoff, 2));
  expect(Math.min(...some)).toBeGreaterThanOrEqual(100);
  expect(Math.max(...some)).toBeLessThanOrEqual(200);
  expect(new Set(some).size).toBeGreaterThan(1);
});
