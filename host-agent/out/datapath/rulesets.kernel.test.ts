import { afterAll, beforeAll, expect, test } from "vitest";
import type { Rule } from "../../core/ports.ts";
import { encode, readNumber, u32 } from "./record.ts";
import { withMap } from "./testing/flows.ts";
import { ALLOW_ALL, Lab, type LabHost } from "./testing/lab.ts";

let lab: Lab;
let a: LabHost;

beforeAll(() => {
  lab = new Lab();
  a = lab.host("a", "198.18.0.1");
});
afterAll(() => lab.dispose());

const TABLES = ["rulesets", "rule_peers", "rule_ports", "rule_groups"] as const;
const sizes = (): number[] => TABLES.map((table) => withMap(a, table, (map) => [...map.entries()].length));
const web: Rule = { direction: "ingress", protocol: 6, portFrom: 80, portTo: 81, peerGroupId: "sg-1", peerGroupSets: [3, 4] };
const rules: Rule[] = [...ALLOW_ALL, web, { ...web, direction: "egress", peerGroupSets: [] }];

test("a ruleset goes with all its entries, also where another agent put it", () => {
  const empty = sizes();
  a.datapath.putRuleset({ id: 1, rules });
  const one = sizes();
  // Ports: 0/0 and TCP 80-81 (one prefix), once by port and once by protocol, each direction.
  expect([empty, one]).toEqual([
    [0, 0, 0, 0],
    [1, 2, 8, 2],
  ]);
  a.datapath.putRuleset({ id: 2, rules });
  expect(sizes()).toEqual(one.map((n) => 2 * n));
  lab.reopen(a);
  expect(a.datapath.actual().rulesetIds.toSorted()).toEqual([1, 2]);
  a.datapath.deleteRuleset(1);
  expect(sizes()).toEqual(one);
  a.datapath.deleteRuleset(2);
  expect(sizes()).toEqual(empty);
});

test("what a crash left of a ruleset goes when the agent starts", () => {
  a.datapath.putRuleset({ id: 3, rules });
  withMap(a, "rulesets", (map) => map.delete(u32(3)));
  lab.reopen(a);
  expect(sizes()).toEqual([0, 0, 0, 0]);
});

test("an id keeps its rules: the same again are fine, others are refused", () => {
  a.datapath.putRuleset({ id: 4, rules });
  const before = sizes();
  a.datapath.putRuleset({ id: 4, rules });
  for (const others of [
    rules.slice(1),
    [...rules, web],
    [...ALLOW_ALL, { ...web, portTo: 82 }],
    [...ALLOW_ALL, { ...web, protocol: 17 }],
    [...ALLOW_ALL, { ...web, peerGroupId: "sg-2" }],
  ])
    expect(() => a.datapath.putRuleset({ id: 4, rules: others })).toThrow("immutable");
  expect(sizes()).toEqual(before);
  a.datapath.deleteRuleset(4);
});

/** Group sets in the kernel's entries of a ruleset, ascending, and what each entry is. */
const groupsOf = (id: number): number[] =>
  withMap(a, "rule_groups", (map) =>
    [...map.entries()]
      .filter(([key]) => readNumber("rule_group_key", key, "ruleset_id") === id)
      .map(([key]) => readNumber("rule_group_key", key, "group_set_id"))
      .toSorted((x, y) => x - y),
  );
const naming = (...sets: number[]): Rule[] => [...ALLOW_ALL, { ...web, peerGroupSets: sets }];

test("its group sets come and go under it, also where another agent put it, and after a crash in the middle", () => {
  a.datapath.putRuleset({ id: 5, rules: naming(3, 4) });
  a.datapath.putRuleset({ id: 6, rules: naming(3) });
  const elements = (): Buffer[] => withMap(a, "rulesets", (map) => [5, 6].map((id) => Buffer.from(map.get(u32(id)) ?? [])));
  const first = elements();
  a.datapath.putRuleset({ id: 5, rules: naming(4, 8, 9) });
  expect([groupsOf(5), groupsOf(6)]).toEqual([[4, 8, 9], [3]]);
  lab.reopen(a);
  a.datapath.putRuleset({ id: 5, rules: naming(4, 10) });
  expect(groupsOf(5)).toEqual([4, 10]);
  // Killed with one written and one not deleted: the next agent is told what was before.
  withMap(a, "rule_groups", (map) => {
    const [key, value] = [...map.entries()].find(([one]) => readNumber("rule_group_key", one, "ruleset_id") === 5) ?? [];
    const other = encode("rule_group_key", {
      ruleset_id: 5,
      direction: readNumber("rule_group_key", key ?? Buffer.alloc(0), "direction"),
      group_set_id: 77,
    });
    map.put(other, Buffer.concat([other, (value ?? Buffer.alloc(0)).subarray(other.length)]));
  });
  expect(groupsOf(5)).toEqual([4, 10, 77]);
  lab.reopen(a);
  a.datapath.putRuleset({ id: 5, rules: naming(3, 4) });
  expect(groupsOf(5)).toEqual([3, 4]);
  expect(elements()).toEqual(first);
  a.datapath.putRuleset({ id: 5, rules: naming() });
  expect(groupsOf(5)).toEqual([]);
  for (const id of [5, 6]) a.datapath.deleteRuleset(id);
  expect(sizes()).toEqual([0, 0, 0, 0]);
});
