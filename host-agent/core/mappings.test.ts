import { expect, it } from "vitest";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, instance, instanceItem, ruleset, rulesetItem } from "../testing/feed-world.ts";
import type { Mapping } from "./ports.ts";

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
  const at = (prefix: string, wireId: number): Mapping => ({ vni: 101, prefix, hostAddress: "198.18.0.9", wireId, groupSetId: 0 });
  mappings.replace(
    101,
    new Map([
      ["10.0.0.1/32", at("10.0.0.1/32", 1)],
      ["10.0.0.2/32", at("10.0.0.2/32", 2)],
    ]),
    1n,
  );
  host.pass();
  full = true;
  asked.length = 0;
  mappings.change(
    101,
    [
      ["10.0.0.3/32", at("10.0.0.3/32", 3)],
      ["10.0.0.1/32", undefined],
    ],
    2n,
  );
  host.pass();
  expect([asked, [...host.pins.mappings.keys()]]).toEqual([["datapath.putMappings", "datapath.deleteMappings"], ["101 10.0.0.2/32"]]);
  expect(mappings.appliedVersion(101)).toBeUndefined();
  full = false;
  host.now += 100;
  expect(host.reconciler.pass().networks).toEqual([101]);
  expect([...host.pins.mappings.keys()]).toEqual(["101 10.0.0.2/32", "101 10.0.0.3/32"]);
});
