import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenBuckets } from "./token-bucket.ts";

const rates = fc.record({ perSecond: fc.integer({ min: 1, max: 1_000 }), burst: fc.integer({ min: 1, max: 100 }) });
const pauses = fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 200 });

describe("TokenBuckets", () => {
  it("lets a burst through at once, then the rate, and says how long to wait", () => {
    const buckets = new TokenBuckets({ perSecond: 10, burst: 3 });
    expect([1, 2, 3, 4].map(() => buckets.take("a", 0))).toEqual([0, 0, 0, 100]);
    expect(buckets.take("a", 99)).toBe(1);
    expect(buckets.take("a", 100)).toBe(0);
    expect(buckets.take("a", 100)).toBe(100);
    expect(buckets.take("b", 100)).toBe(0);
  });

  it("never lets more through than burst + rate × time, in any span", () => {
    fc.assert(
      fc.property(rates, pauses, (rate, steps) => {
        const buckets = new TokenBuckets(rate);
        const taken: number[] = [];
        let now = 0;
        for (const step of steps) {
          now += step;
          if (buckets.take("a", now) === 0) taken.push(now);
        }
        for (const [index, from] of taken.entries()) {
          const last = taken.at(-1) ?? from;
          expect(taken.length - index).toBeLessThanOrEqual(rate.burst + ((last - from) / 1_000) * rate.perSecond + 1e-6);
        }
      }),
    );
  });

  it("lets one through after the wait that it named, and not before", () => {
    fc.assert(
      fc.property(rates, pauses, (rate, steps) => {
        const buckets = new TokenBuckets(rate);
        let now = 0;
        for (const step of steps) {
          now += step;
          const wait = buckets.take("a", now);
          if (wait === 0) continue;
          now += wait;
          expect(buckets.take("a", now)).toBe(0);
        }
      }),
    );
  });

  it("says beforehand how long one would wait, and takes nothing by that", () => {
    const buckets = new TokenBuckets({ perSecond: 10, burst: 5 });
    expect([buckets.wait("a", 0), buckets.wait("a", 0, 5), buckets.wait("a", 0, 500)]).toEqual([0, 0, 0]);
    expect(buckets.size).toBe(0);
    expect(buckets.take("a", 0, 4)).toBe(0);
    expect([buckets.wait("a", 0), buckets.wait("a", 0, 2), buckets.wait("a", 99, 2), buckets.wait("a", 100, 2)]).toEqual([0, 100, 1, 0]);
    expect(buckets.take("a", 0)).toBe(0);
  });

  it("holds one caller's flood against nobody else", () => {
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1 });
    for (let index = 0; index < 100; index += 1) buckets.take("flood", 0);
    expect(buckets.take("other", 0)).toBe(0);
  });

  it("forgets who has not called for long, and never holds more than it may", () => {
    const buckets = new TokenBuckets({ perSecond: 10, burst: 10 }, 50);
    for (let index = 0; index < 1_000; index += 1) buckets.take(`caller-${index}`, index);
    expect(buckets.size).toBe(50);
    buckets.take("late", 10_000);
    expect(buckets.size).toBe(1);
  });

  it("does not take a clock that stands still, or runs back, for a pause", () => {
    const buckets = new TokenBuckets({ perSecond: 1_000, burst: 1 });
    expect(buckets.take("a", 1_000)).toBe(0);
    expect(buckets.take("a", 500)).toBe(1);
    expect(buckets.take("a", 1_000)).toBe(1);
    expect(buckets.take("a", 1_001)).toBe(0);
  });

  it("refuses a rate that lets nothing through", () => {
    expect(() => new TokenBuckets({ perSecond: 0, burst: 1 })).toThrow(RangeError);
    expect(() => new TokenBuckets({ perSecond: 1, burst: 0.5 })).toThrow(RangeError);
  });
});
