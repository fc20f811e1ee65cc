import { expect, test } from "vitest";
import { DeltaTracker } from "./tracker.ts";

test("gives what differs in pieces of the size that is asked for", () => {
  const tracker = new DeltaTracker<number, string>((a, b) => a === b);
  for (const key of [1, 2, 3]) tracker.want(key, "a");
  expect(tracker.pendingPuts(2)).toEqual([
    [1, "a"],
    [2, "a"],
  ]);
  for (const key of [1, 2, 3]) tracker.present(key, "a");
  for (const key of [1, 2, 3]) tracker.unwant(key);
  expect(tracker.pendingDeletes(1)).toEqual([[1, "a"]]);
  expect(tracker.pendingDeletes()).toHaveLength(3);
});

test("what is not wanted cannot have been made", () => {
  const tracker = new DeltaTracker<number, string>((a, b) => a === b);
  expect(() => tracker.made(1)).toThrow(/was not made/);
  tracker.want(1, "a");
  tracker.made(1);
  expect([tracker.settled(1), tracker.actual(1)]).toEqual([true, "a"]);
});
