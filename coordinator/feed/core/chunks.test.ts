import fc from "fast-check";
import { expect, test } from "vitest";
import { HostChange, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { CHUNK_BYTES } from "#lib/feed/feed.ts";
import { snapshotChanges } from "./chunks.ts";

const instance = (index: number, bytes: number): HostItem => ({
  item: {
    $case: "instance",
    value: { instanceId: `i-${index}`, generation: 1n, wanted: Wanted.PRESENT, argv: ["x".repeat(bytes)], env: {}, actsAs: "" },
  },
});

test("messages stay near a chunk's size, hold every item once, in order", () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 400_000 })), { maxLength: 60 });
  fc.assert(
    fc.property(sizes, (bytes) => {
      const items = bytes.map((size, index) => instance(index, size));
      const changes = [...snapshotChanges(items, 7n)];
      expect(changes.flatMap((change) => change.items)).toEqual(items);
      for (const change of changes) {
        expect(change).toMatchObject({ version: 7n, inSnapshot: true });
        expect(change.items.length).toBeGreaterThan(0);
        expect(HostChange.encode(change).finish().length).toBeLessThan(CHUNK_BYTES + 5 * change.items.length + 32);
      }
      // No message that the next item would still have fitted into.
      expect(changes.length).toBeLessThanOrEqual(1 + Math.ceil((2 * bytes.reduce((sum, size) => sum + size + 64, 0)) / CHUNK_BYTES));
    }),
    { numRuns: 30 },
  );
});

test("an item larger than a chunk goes alone, and what is small goes together", () => {
  const lengths = (...bytes: number[]) =>
    [
      ...snapshotChanges(
        bytes.map((size, index) => instance(index, size)),
        1n,
      ),
    ].map((change) => change.items.length);
  expect(lengths(10, 2 * CHUNK_BYTES, 10)).toEqual([1, 1, 1]);
  expect(lengths(...Array.from({ length: 2_000 }, () => 10))).toEqual([2_000]);
  expect(lengths()).toEqual([]);
});
