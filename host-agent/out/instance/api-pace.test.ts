import { expect, it } from "vitest";
import { ApiPace } from "./api-pace.ts";

const RATE = { perSecond: 100, burst: 100 };

it("holds an instance to its own rate, and no other by it", () => {
  const pace = new ApiPace(RATE, { perSecond: 1_000, burst: 1_000 });
  expect([pace.take("a", 0, 100), pace.take("a", 0, 10), pace.take("b", 0, 10), pace.take("a", 100, 10)]).toEqual([0, 100, 0, 0]);
});

it("charges an instance once for what it sends, however often it asks while the others of its host hold it back", () => {
  const pace = new ApiPace({ perSecond: 10, burst: 100 }, { perSecond: 50, burst: 100 });
  expect(pace.take("b", 0, 100)).toBe(0);
  for (const now of [0, 500, 999]) expect(pace.take("a", now, 50)).toBe(1_000 - now);
  expect(pace.take("a", 1_000, 50)).toBe(0);
  // Of its own 100 it has 50 left, and what came since.
  expect(pace.take("a", 2_000, 50)).toBe(0);
});

it("charges the host nothing for what an instance's own rate holds back", () => {
  const pace = new ApiPace(RATE, { perSecond: 1, burst: 110 });
  expect(pace.take("a", 0, 100)).toBe(0);
  for (const now of [0, 1, 2]) expect(pace.take("a", now, 10)).toBeGreaterThan(0);
  expect(pace.take("b", 3, 10)).toBe(0);
});
