import { expect, it } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";
import { changeOf, piecesOf } from "../testing/mapping-batches.ts";
import { tellHost } from "../testing/told-host.ts";
import type { Mapping } from "./ports.ts";
import type { PassResult } from "./reconciler.ts";
import { FeedBroken } from "./wanted.ts";

const at = (prefix: string, wireId: number): Mapping => ({ vni: 101, prefix, hostAddress: "198.18.0.9", wireId, groupSetId: 0 });

it("removes mappings while others of the network find no room, and changes those that are there", () => {
  const asked: string[] = [];
  let full = false;
  const host = new FakeHost({
    fault: (call) => {
      if (call.startsWith("datapath.") && call.endsWith("Mappings")) asked.push(call);
      if (call === "datapath.putMappings" && full) throw new Error("full");
    },
  });
  host.snapshot(new FeedWorld());
  host.change({ scope: "host", items: [instance(instanceItem(2)), attachment(attachmentItem(1, 2)), ruleset(rulesetItem(1))] });
  host.pass();
  const { mappings } = host.reconciler;
  mappings.replace(101, piecesOf([at("10.0.0.1/32", 1), at("10.0.0.2/32", 2)]), 1n);
  host.pass();
  full = true;
  asked.length = 0;
  mappings.change(101, changeOf(["10.0.0.3/32", at("10.0.0.3/32", 3)], ["10.0.0.1/32", undefined]), 2n);
  host.pass();
  expect([asked, [...host.pins.mappings.keys()]]).toEqual([["datapath.putMappings", "datapath.deleteMappings"], ["101 10.0.0.2/32"]]);
  expect(mappings.appliedVersion(101)).toBeUndefined();
  full = false;
  host.now += 100;
  expect(host.reconciler.pass().networks).toEqual([101]);
  expect([...host.pins.mappings.keys()]).toEqual(["101 10.0.0.2/32", "101 10.0.0.3/32"]);
});

/** Returns after how many passes it was so. */
function passUntil(host: FakeHost, isSo: (result: PassResult) => boolean): number {
  for (let passes = 1; passes < 200; passes += 1) if (isSo(host.reconciler.pass())) return passes;
  throw new Error("it never came to that");
}

/** A host whose passes have time for one step, with an interface in network 101, and that many mappings of it told and none written. */
function busyHost(count: number): { host: FakeHost; world: FeedWorld } {
  const host = new FakeHost({ slow: true });
  const world = new FeedWorld();
  host.snapshot(world);
  tellHost(host, world, [instance(instanceItem(2)), attachment(attachmentItem(1, 2)), ruleset(rulesetItem(1))]);
  passUntil(host, ({ complete }) => complete);
  const all = Array.from({ length: count }, (_, i) => at(`10.1.${i >> 8}.${i & 255}/32`, i + 1));
  host.reconciler.mappings.replace(101, piecesOf(all, 1_000), 1n);
  host.takeCalls();
  return { host, world };
}

it("attaches and detaches before it goes on with a network that takes many passes", () => {
  const { host, world } = busyHost(20_000);
  const { mappings } = host.reconciler;
  host.pass();
  expect(host.takeCalls(), "the first piece is taken in, and nothing is written yet").toEqual([]);
  passUntil(host, () => host.pins.mappings.size > 0);
  const written = host.pins.mappings.size;
  expect(written).toBeLessThan(20_000);
  tellHost(host, world, [attachment(attachmentItem(4, 2, { deviceIndex: 1 }))]);
  tellHost(host, world, [attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT, generation: 2n }))]);
  const version = host.reconciler.host.version;
  passUntil(host, () => host.reconciler.appliedVersion === version);
  expect([...host.pins.endpoints.keys()]).toEqual([4]);
  expect(host.pins.mappings.size, "the network waited for them").toBe(written);
  expect(mappings.appliedVersion(101)).toBeUndefined();
  passUntil(host, ({ networks }) => networks.includes(101));
  expect([host.pins.mappings.size, mappings.appliedVersion(101)]).toEqual([20_000, 1n]);
});

it("takes in what comes meanwhile in its order, and says only in the end that it holds it", () => {
  const { host } = busyHost(3_000);
  const { mappings } = host.reconciler;
  host.pass();
  mappings.change(101, changeOf(["10.1.0.0/32", undefined], ["10.2.0.0/32", at("10.2.0.0/32", 9)]), 2n);
  mappings.change(101, changeOf(["10.2.0.0/32", at("10.2.0.0/32", 8)]), 3n);
  expect([mappings.wantedVersion(101), mappings.appliedVersion(101)]).toEqual([3n, undefined]);
  expect(mappings.pending).toBe(3_003);
  expect(passUntil(host, ({ networks }) => networks.includes(101))).toBeGreaterThan(4);
  expect([host.pins.mappings.size, host.pins.mappings.get("101 10.2.0.0/32")?.wireId]).toEqual([3_000, 8]);
  expect([mappings.appliedVersion(101), mappings.pending, mappings.size]).toEqual([3n, 0, 3_000]);
});

it("goes by the newest snapshot alone, however far it had come with another", () => {
  const { host } = busyHost(3_000);
  const { mappings } = host.reconciler;
  for (let pass = 0; pass < 2; pass += 1) host.pass();
  mappings.replace(101, piecesOf([at("10.1.0.7/32", 8), at("10.3.0.0/32", 3)]), 5n);
  passUntil(host, ({ networks }) => networks.includes(101));
  expect([...host.pins.mappings.values()]).toEqual([at("10.1.0.7/32", 8), at("10.3.0.0/32", 3)]);
  expect(mappings.appliedVersion(101)).toBe(5n);
});

it("leaves a network that it is still taking in with nothing of it", () => {
  const { host, world } = busyHost(9_000);
  passUntil(host, () => host.pins.mappings.size > 0);
  tellHost(host, world, [attachment(attachmentItem(1, 2, { wanted: Wanted.ABSENT, generation: 2n }))]);
  for (let pass = 0; pass < 20; pass += 1) host.pass();
  expect([host.pins.mappings.size, host.reconciler.mappings.pending]).toEqual([0, 0]);
});

it("says of what no kernel can hold why, and goes on with other networks", () => {
  const host = new FakeHost();
  host.snapshot(new FeedWorld());
  const items = [1, 4].map((n) => attachment(attachmentItem(n, 2, { deviceIndex: n, vni: 100 + n, networkId: BigInt(100 + n) })));
  host.change({ scope: "host", items: [instance(instanceItem(2)), ...items, ruleset(rulesetItem(1))] });
  host.pass();
  const { mappings } = host.reconciler;
  mappings.replace(101, piecesOf([at("10.0.0.0/24", 1)]), 1n);
  mappings.replace(104, piecesOf([at("10.0.0.1/32", 1)]), 1n);
  expect(host.reconciler.pass().networks).toEqual([104]);
  expect(host.failures).toEqual(["news of mappings of VNI 101: only whole addresses can be mapped, not 10.0.0.0/24"]);
  expect(() => mappings.change(101, changeOf(["10.0.0.2/32", at("10.0.0.2/32", 2)]), 2n), "nothing waits behind it").toThrow(FeedBroken);
  mappings.replace(101, piecesOf([at("10.0.0.1/32", 1)]), 2n);
  expect(host.reconciler.pass().networks).toEqual([101]);
});
