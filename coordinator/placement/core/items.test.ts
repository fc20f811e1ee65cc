import { expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { instanceItem } from "./items.ts";

const row = { instance_id: "i-1", generation: 3n, argv: ["sleep", "1"], env: { A: "b" }, acts_as: "robot" };

test("what is to run has its process, what is to go has none and acts as nobody", () => {
  expect(instanceItem({ ...row, state: InstanceState.PENDING }).item?.value).toMatchObject({
    wanted: Wanted.PRESENT,
    argv: ["sleep", "1"],
    env: { A: "b" },
    actsAs: "robot",
  });
  for (const state of [InstanceState.STOPPING, InstanceState.TERMINATING])
    expect(instanceItem({ ...row, state }).item?.value).toEqual({
      instanceId: "i-1",
      generation: 3n,
      wanted: Wanted.ABSENT,
      argv: [],
      env: {},
      actsAs: "",
    });
});
