import { beforeEach, describe, expect, it } from "vitest";
import { FakeHost } from "../testing/fake-host.ts";
import {
  attachment,
  attachmentItem,
  FeedWorld,
  instance,
  instanceItem,
  namingRulesetItem,
  peerGroup,
  ruleset,
} from "../testing/feed-world.ts";
import { tellHost } from "../testing/told-host.ts";
import { samePeers, withMovedSets } from "./peer-groups.ts";
import { rulesetOf } from "./convert.ts";

const moved = (group: number, added: number[], removed: number[] = []) => ({
  securityGroupId: `sg-${group}`,
  addedGroupSetIds: added,
  removedGroupSetIds: removed,
});

describe("sets that come and go", () => {
  const rules = namingRulesetItem(2, [[1, 2], [7]]);

  it("are in the rules that name their group, once, however often they were told", () => {
    const one = withMovedSets(rules, moved(0, [3, 2], [1]));
    expect(one?.rules.map((rule) => rule.peerGroupSetIds)).toEqual([[], [2, 3], [7], [2, 3]]);
    expect(withMovedSets(one!, moved(0, [3, 2], [1]))).toEqual(one);
    expect(rules.rules[1]?.peerGroupSetIds).toEqual([1, 2]); // what others hold of it stays
  });

  it("are nothing to rules that do not name it, nor to those of before groups were named", () => {
    expect(withMovedSets(rules, moved(2, [3]))).toBeUndefined();
    const before = { ...rules, rules: rules.rules.map((rule) => ({ ...rule, peerGroupId: "" })) };
    expect(withMovedSets(before, { ...moved(0, [3]), securityGroupId: "" })).toBeUndefined();
  });

  it("make a difference to what is in the kernel", () => {
    const was = rulesetOf(rules);
    expect(samePeers(was, rulesetOf(namingRulesetItem(2, [[1, 2], [7]])))).toBe(true);
    expect(samePeers(was, rulesetOf(namingRulesetItem(2, [[2, 3], [7]])))).toBe(false);
    expect(samePeers(was, rulesetOf(namingRulesetItem(2, [[2], [7]])))).toBe(false);
    expect(samePeers(was, { id: 2, rules: [] })).toBe(false);
  });
});

describe("a host whose rules name a group", () => {
  let host: FakeHost;
  let world: FeedWorld;
  beforeEach(() => {
    host = new FakeHost();
    world = new FeedWorld();
    host.snapshot(world);
    const items = [ruleset(namingRulesetItem(2, [[1], []])), instance(instanceItem(2)), attachment(attachmentItem(1, 2, { rulesetId: 2 }))];
    tellHost(host, world, items);
    host.pass();
    host.takeCalls();
    host.reconciler.statuses.takeNew();
  });
  const peers = () => host.pins.rulesets.get(2)?.rules.flatMap((rule) => ("peerGroupSets" in rule ? [rule.peerGroupSets] : []));

  it("lets them mean a new set, and no longer one that went, and touches nothing else", () => {
    expect(peers()).toEqual([[1], [], [1]]);
    tellHost(host, world, [peerGroup(moved(0, [5]))]);
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.putRuleset"]);
    expect(peers()).toEqual([[1, 5], [], [1, 5]]);
    tellHost(host, world, [peerGroup(moved(0, [], [1])), peerGroup(moved(1, [6]))]);
    host.pass();
    expect(host.takeCalls()).toEqual(["datapath.putRuleset"]);
    expect(peers()).toEqual([[5], [6], [5]]);
    expect(host.reconciler.statuses.takeNew().attachments).toEqual([]);
  });

  it("does nothing about a group that no rules of it name, nor about what it knows", () => {
    tellHost(host, world, [peerGroup(moved(7, [5])), peerGroup(moved(0, [1]))]);
    host.pass();
    expect(host.takeCalls()).toEqual([]);
  });

  it("says so while it cannot, keeps what is open, and does it later", () => {
    const broken = new FakeHost({
      fault: (call) => {
        if (call === "datapath.putRuleset" && refusing) throw new Error("no room");
      },
    });
    let refusing = false;
    broken.snapshot(world);
    broken.pass();
    refusing = true;
    tellHost(broken, world, [peerGroup(moved(0, [5]))]);
    broken.pass();
    expect(broken.failures).toEqual(["ruleset 2: no room"]);
    expect(broken.pins.endpoints.has(1)).toBe(true);
    refusing = false;
    broken.now += 1_000;
    broken.pass();
    expect(broken.pins.rulesets.get(2)?.rules[1]).toMatchObject({ peerGroupSets: [1, 5] });
  });

  it("is brought up to date when its agent was away while a set was made", () => {
    world.rulesets.set(2, namingRulesetItem(2, [[1, 9], []]));
    host.restart();
    host.snapshot(world);
    host.pass();
    expect(peers()).toEqual([[1, 9], [], [1, 9]]);
  });
});
