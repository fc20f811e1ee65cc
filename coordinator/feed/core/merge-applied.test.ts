import fc from "fast-check";
import { expect, test } from "vitest";
import type { Applied } from "#gen/plenum/host/v1/host_feed.ts";
import { PendingApplied } from "./merge-applied.ts";

const message: fc.Arbitrary<Applied> = fc.record({
  sessionEpoch: fc.constant(1n),
  hostVersion: fc.bigInt(0n, 9n),
  networkVersions: fc.array(fc.tuple(fc.bigInt(1n, 3n), fc.bigInt(0n, 9n)), { maxLength: 3 }).map((entries) => new Map(entries)),
  attachments: fc.array(
    fc.record({
      attachmentId: fc.constantFrom("a", "b"),
      generation: fc.bigInt(1n, 5n),
      state: fc.constantFrom(1 as const, 2 as const),
      message: fc.constant(""),
    }),
    { maxLength: 2 },
  ),
  instances: fc.constant([]),
});

test("what is merged says the newest of everything, as if each had been written in its turn", () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 8 }), (messages) => {
      const merged = new PendingApplied();
      for (const one of messages) merged.add(one);
      expect(merged.hostVersion).toBe(messages.map((one) => one.hostVersion).reduce((a, b) => (a > b ? a : b)));
      for (const [networkId, version] of merged.networks) {
        const said = messages.flatMap((one) => one.networkVersions.get(networkId) ?? []);
        expect(said.every((other) => other <= version) && said.includes(version)).toBe(true);
      }
      const all = messages.flatMap((one) => one.attachments);
      for (const status of merged.attachments) expect(status).toEqual(all.findLast((other) => other.attachmentId === status.attachmentId));
      expect(merged.attachments).toHaveLength(new Set(all.map((one) => one.attachmentId)).size);
      expect(merged.versionsOnly).toBe(all.length === 0);
    }),
  );
});
