import { expect, test } from "vitest";
import { DeltaTracker } from "./tracker.ts";

test("gives what differs, each way", () => {
  const tracker = new DeltaTracker<number, string>((a, b) => a === b);
  for (const key of [1, 2]) tracker.want(key, "a");
  expect(tracker.pendingPuts()).toEqual([
    [1, "a"],
    [2, "a"],
  ]);
  for (const key of [1, 2]) tracker.present(key, "a");
  tracker.unwant(1);
  expect([tracker.pendingPuts(), tracker.pendingDeletes()]).toEqual([[], [[1, "a"]]]);
});
