import { expect, it } from "vitest";
import type { Device } from "./ports.ts";
import { Guards, GUARDS_PER_LOOK } from "./guards.ts";
import { DeltaTracker } from "./tracker.ts";

const TOTAL = 2 * GUARDS_PER_LOOK + 10;

function world() {
  const devices = new DeltaTracker<number, Device>(() => true);
  for (let wireId = 1; wireId <= TOTAL; wireId++) devices.present(wireId, { wireId, instanceId: "i", ifindex: wireId + 100_000 });
  const gone = new Set<number>();
  const asked: number[][] = [];
  const guards = new Guards({
    unguarded: (ifindexes) => {
      asked.push([...ifindexes]);
      return ifindexes.filter((ifindex) => gone.has(ifindex));
    },
  });
  const look = (...suspects: number[]): number[] => guards.unguarded(devices, new Set(suspects)).map(([wireId]) => wireId);
  return { devices, gone, asked, look };
}

it("asks about every device in turn, in one call a look, and of no more than its share", () => {
  const { asked, look } = world();
  for (let round = 0; round < 3; round++) expect(look()).toEqual([]);
  expect(asked.map((one) => one.length)).toEqual([GUARDS_PER_LOOK, GUARDS_PER_LOOK, 10]);
  expect(new Set(asked.flat()).size).toBe(TOTAL);
  look();
  expect(asked[3]).toEqual(asked[0]);
});

it("asks about suspects at once, whoever's turn it is", () => {
  const { gone, look } = world();
  gone.add(100_000 + TOTAL);
  expect(look()).toEqual([]);
  expect(look(100_000 + TOTAL, 4711)).toEqual([TOTAL]);
});

it("leaves out what the next pass guards anyway, and what has gone meanwhile", () => {
  const { devices, gone, look } = world();
  gone.add(100_001).add(100_002).add(100_003);
  devices.doubt(1, { wireId: 1, instanceId: "i", ifindex: 100_001 });
  devices.absent(2);
  expect(look(100_001, 100_002)).toEqual([3]);
});
