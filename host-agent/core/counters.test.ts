import { expect, test } from "vitest";
import { CounterNews } from "./counters.ts";
import type { DropReading, MeterReading } from "./ports.ts";

const meter = (meterId: bigint, packets: bigint): MeterReading => ({
  meterId,
  direction: "egress",
  packets,
  bytes: packets * 100n,
  rawBytes: 0n,
});
const drop = (wireId: number, packets: bigint): DropReading => ({ wireId, reason: 1, reasonName: "RULE_EGRESS", packets });

test("only what changed is news; what is gone is forgotten, and news when it comes again", () => {
  const news = new CounterNews();
  expect(news.take([meter(1n, 5n), meter(2n, 0n)], [drop(1, 3n), drop(2, 0n)])).toMatchObject({
    meters: [{ meterId: 1n, egressPackets: 5n, egressBytes: 500n }],
    drops: [{ wireId: 1, reason: "RULE_EGRESS", packets: 3n }],
  });
  expect(news.take([meter(1n, 5n)], [drop(1, 3n)])).toEqual({ meters: [], drops: [] });
  expect(news.take([meter(1n, 5n)], [], new Set([1n])).meters).toHaveLength(1);
  expect(news.take([], [])).toEqual({ meters: [], drops: [] });
  expect(news.take([meter(1n, 5n)], [drop(1, 3n)])).toMatchObject({ meters: [{ meterId: 1n }], drops: [{ wireId: 1 }] });
});
