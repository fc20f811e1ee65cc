import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CoalescingQueue } from "./coalescing-queue.ts";
import { decodeHint, encodeHint, scopeKind } from "./hint.ts";

describe("a coalescing queue", () => {
  it("gives a slow reader the newest of each key, in the order of the keys, and then the end", async () => {
    const queue = new CoalescingQueue<string, number>();
    queue.set("a", 1);
    queue.set("b", 2);
    queue.set("a", 3);
    queue.set("c", 4, (waiting, next) => waiting + next);
    queue.set("b", 5, (waiting, next) => waiting + next);
    expect(queue.size).toBe(3);
    queue.end();
    queue.set("d", 9);
    const got: number[] = [];
    for await (const value of queue) got.push(value);
    expect(got).toEqual([3, 7, 4]);
  });

  it("wakes a reader that waits, and fails it at once", async () => {
    const queue = new CoalescingQueue<string, number>();
    const first = queue.take();
    queue.set("a", 1);
    expect(await first).toBe(1);
    const next = queue.take();
    queue.set("b", 2);
    queue.set("c", 3);
    expect(await next).toBe(2);
    queue.end(new Error("gone"));
    await expect(queue.take()).rejects.toThrow("gone");
  });

  it("leaves its reader with the newest of every key, however they interleave", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.integer(), fc.boolean())), async (steps) => {
        const queue = new CoalescingQueue<string, [string, number]>();
        const read = new Map<string, number>();
        const wanted = new Map<string, number>();
        for (const [key, value, drain] of steps) {
          queue.set(key, [key, value]);
          wanted.set(key, value);
          if (drain) read.set(...((await queue.take()) ?? expect.unreachable()));
        }
        queue.end();
        for await (const [key, value] of queue) read.set(key, value);
        expect(read).toEqual(wanted);
      }),
    );
  });
});

describe("a hint", () => {
  it("comes back from its bytes", () => {
    const max = (1n << 63n) - 1n;
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.bigInt({ min: 0n, max: max - 1n }),
        fc.option(fc.uint8Array(), { nil: undefined }),
        fc.option(fc.bigInt({ min: 0n, max }), { nil: undefined }),
        fc.option(fc.bigInt({ min: 0n, max }), { nil: undefined }),
        (scope, prev, delta, prevMark, mark) => {
          const hint = decodeHint(encodeHint({ scope, prev, version: prev + 1n, delta, prevMark, mark }));
          expect({ ...hint, delta: hint.delta && [...hint.delta] }).toEqual({
            scope,
            prev,
            version: prev + 1n,
            prevMark,
            mark,
            delta: delta && [...delta],
          });
        },
      ),
    );
  });

  it("leaves out a change that is too large for the bus", () => {
    const hint = { scope: "network:a", prev: 1n, version: 2n, delta: new Uint8Array(600 * 1024) };
    expect(encodeHint(hint).length).toBeLessThan(100);
    expect(decodeHint(encodeHint(hint)).delta).toBeUndefined();
  });

  it("is refused when it is none", () => {
    for (const bytes of [[], [1, 2, 3], [0x0a, 0x7f]]) expect(() => decodeHint(Uint8Array.from(bytes))).toThrow();
  });

  it("goes by the kind of its scope", () => {
    expect(scopeKind("network:vpc-1")).toBe("network");
    for (const scope of ["network", ":a", "network:", "Net:a", "a.b:c", "a>:c"]) expect(() => scopeKind(scope)).toThrow(/<kind>:<id>/);
  });
});
