import { beforeEach, expect, it } from "vitest";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import type { InstanceItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { FeedWorld, instance, instanceItem } from "../testing/feed-world.ts";

// As whom an instance's processes may call the API: part of what it is to be, like whom they ask for names.

let host: FakeHost;
let world: FeedWorld;
let broken: boolean;
beforeEach(() => {
  broken = false;
  const fault = (call: string): void => {
    if (broken && call === "instances.setIdentity") throw new Error("no way");
  };
  host = new FakeHost({ fault });
  world = new FeedWorld();
  host.snapshot(world);
});

function tell(changes: Partial<InstanceItem>): void {
  const item = instanceItem(2, changes);
  world.instances.set(item.instanceId, item);
  host.change({ scope: "host", items: [instance(item)] });
  host.pass();
}

const kernel = () => host.instanceKernel.instances.get("i-2");
const said = () => host.reconciler.statuses.takeNew().instances.map(({ generation, state, message }) => [generation, state, message]);

it("is there before its process, and changes with the item's generation without starting it anew", () => {
  tell({ actsAs: "robot" });
  expect(kernel()).toMatchObject({ identity: "robot since 1", process: { state: "running" } });
  const calls = host.takeCalls();
  expect(calls.indexOf("instances.setIdentity")).toBeLessThan(calls.indexOf("instances.start"));
  tell({ actsAs: "keeper", generation: 2n });
  expect(kernel()?.identity).toBe("keeper since 2");
  tell({ actsAs: "", generation: 3n });
  expect(kernel()?.identity).toBe("");
  expect(host.takeCalls()).toEqual(["instances.setIdentity", "instances.setIdentity"]);
  tell({ actsAs: "", generation: 4n }); // of an instance that acts as nobody, a generation is no news
  expect(host.takeCalls()).toEqual([]);
});

it("that cannot be given is said of the instance; its process waits for it, and goes on if it ran before", () => {
  broken = true;
  tell({ actsAs: "robot" });
  expect(said()).toEqual([[1n, AppliedState.FAILED, "no way"]]);
  expect(kernel()?.process.state).toBe("none");
  broken = false;
  host.now += 60_000;
  host.pass();
  expect(kernel()?.process.state).toBe("running");
  expect(said()).toEqual([[1n, AppliedState.PRESENT, ""]]);
  broken = true;
  tell({ actsAs: "keeper", generation: 2n });
  expect(said()).toEqual([[2n, AppliedState.FAILED, "no way"]]);
  expect(kernel()?.process.state).toBe("running");
});

it("is told again by an agent that was started anew", () => {
  tell({ actsAs: "robot" });
  host.takeCalls();
  host.restart();
  host.snapshot(world);
  host.pass();
  expect(host.takeCalls()).toContain("instances.setIdentity");
  expect(kernel()?.identity).toBe("robot since 1");
});
