import { beforeEach, describe, expect, it } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { RulesetItem } from "#gen/plenum/host/v1/host_feed.ts";
import { FakeHost } from "../testing/fake-host.ts";
import { attachment, attachmentItem, FeedWorld, ruleset, rulesetItem } from "../testing/feed-world.ts";
import { attachOne, newStates, tellHost } from "../testing/told-host.ts";

let host: FakeHost;
let world: FeedWorld;
beforeEach(() => {
  host = new FakeHost();
  world = new FeedWorld();
  attachOne(host, world);
  host.takeCalls();
});

/** Ruleset 1 with rules for another port, as a database tells it that was set back and went on. */
const others = (port: number): RulesetItem => {
  const { rules, ...item } = rulesetItem(1);
  return { ...item, rules: rules.map((rule) => ({ ...rule, portFrom: port, portTo: port })) };
};
const setBack = (port: number): void => {
  world.rulesets.set(1, others(port));
  host.snapshot(world);
  host.pass();
};
/** The kernel's rules for attachment 1. */
const inForce = () => {
  const number = host.pins.endpoints.get(1)?.rulesetId ?? 0;
  return { number, ports: host.pins.rulesets.get(number)?.rules.map((rule) => rule.portFrom) };
};

describe("a number of the feed that stands for other rules than before", () => {
  it("is another one in the kernel: the new rules are there before they count, and the old ones go", () => {
    expect(inForce().number).toBe(1);
    setBack(4711);
    expect(inForce().ports).toEqual([4711]);
    expect(inForce().number).not.toBe(1);
    expect(host.takeCalls()).toEqual(["datapath.putRuleset", "datapath.putEndpoint", "datapath.deleteRuleset"]);
    expect([...host.pins.rulesets.keys()]).toEqual([inForce().number]);
    expect(host.failures).toEqual([]);
  });

  it("stands for the first rules again where they come back, under no number that stood for others", () => {
    const before = inForce();
    setBack(4711);
    setBack(before.ports?.[0] ?? 0);
    expect(inForce().ports).toEqual(before.ports);
    expect(inForce().number).not.toBe(1);
  });

  it("is not believed by a successor of the agent either, which goes on with what it finds", () => {
    host.restart();
    setBack(4711);
    expect(inForce().ports).toEqual([4711]);
    const { number } = inForce();
    expect(number).not.toBe(1);
    host.restart();
    host.takeCalls();
    host.snapshot(world);
    host.pass();
    // Once: which sets its groups have is not known.
    expect(host.takeCalls().filter((call) => /ruleset|endpoint/i.test(call))).toEqual(["datapath.putRuleset"]);
    expect(inForce().number).toBe(number);
  });

  it("is told and untold like any other", () => {
    setBack(4711);
    tellHost(host, world, [
      attachment(attachmentItem(1, 2, { rulesetId: 2, generation: 2n })),
      ruleset(rulesetItem(2)),
      ruleset({ ...others(4711), wanted: Wanted.ABSENT }),
    ]);
    host.pass();
    expect([...host.pins.rulesets.keys()]).toEqual([2]);
    expect(newStates(host).map(([, , message]) => message)).toEqual([""]);
  });
});

it("does not open by rules that a predecessor left until they are compared, and says why it waits", () => {
  world.rulesets.clear();
  const item = attachmentItem(3, 2, { deviceIndex: 1 });
  world.attachments.set(item.attachmentId, item);
  host.restart();
  host.snapshot(world);
  host.pass();
  expect(host.pins.endpoints.get(3)).toBeUndefined();
  expect(newStates(host).find(([id]) => id === "eni-attach-3")?.[2]).toBe("ruleset 1 is not in the feed");
});

it("leaves the rules in force where the kernel cannot say what it holds, and asks again", () => {
  let broken = true;
  host = new FakeHost({
    fault: (call) => {
      if (call === "datapath.compareRuleset" && broken) throw new Error("cannot be read");
    },
  });
  world = new FeedWorld();
  attachOne(host, world);
  host.restart();
  setBack(4711);
  expect(host.failures).toEqual(["ruleset 1: cannot be read"]);
  expect(inForce().number).toBe(1);
  broken = false;
  host.now = 1_000;
  host.pass();
  expect(inForce().ports).toEqual([4711]);
});

describe("a table of group sets that is full", () => {
  const naming = (...peerGroupSetIds: number[]): RulesetItem => {
    const { rules, ...item } = rulesetItem(5);
    return { ...item, rules: rules.map((rule) => ({ ...rule, peerCidr: "", peerIsGroup: true, peerGroupId: "sg-1", peerGroupSetIds })) };
  };
  let full = false;
  beforeEach(() => {
    full = false;
    host = new FakeHost({
      fault: (call) => {
        if (call === "datapath.putRuleset" && full) throw new Error("the host's table is full");
      },
    });
    world = new FeedWorld();
    attachOne(host, world);
    tellHost(host, world, [ruleset(naming(3)), attachment(attachmentItem(1, 2, { rulesetId: 5, generation: 2n }))]);
    host.pass();
    full = true;
    tellHost(host, world, [ruleset(naming(3, 4))]);
    host.pass();
    expect(host.failures).toEqual(["ruleset 5: the host's table is full"]);
  });
  const disable = (): void => {
    tellHost(host, world, [attachment(attachmentItem(1, 2, { rulesetId: 5, disabled: true, generation: 3n }))]);
    host.pass();
    expect(host.pins.endpoints.get(1)).toMatchObject({ disabled: true });
  };

  it("keeps new sets out, and nothing else from being changed: an interface by such rules can be disabled", disable);

  it("nor after a restart", () => {
    host.restart();
    host.snapshot(world);
    host.pass();
    disable();
  });

  it("opens nothing by rules that were never there", () => {
    tellHost(host, world, [ruleset(rulesetItem(2)), attachment(attachmentItem(3, 2, { rulesetId: 2, deviceIndex: 1 }))]);
    host.pass();
    expect([...host.pins.endpoints.keys()]).toEqual([1]);
    full = false;
    host.now = 1_000;
    host.pass();
    expect([...host.pins.endpoints.keys()]).toEqual([1, 3]);
    expect(host.pins.rulesets.get(5)?.rules[0]).toMatchObject({ peerGroupSets: [3, 4] });
  });
});
