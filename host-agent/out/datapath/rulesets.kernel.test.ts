import { afterAll, beforeAll, expect, test } from "vitest";
import type { Rule } from "../../core/ports.ts";
import { u32 } from "./record.ts";
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
const web: Rule = { direction: "ingress", protocol: 6, portFrom: 80, portTo: 81, peerGroupSets: [3, 4] };
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
    [...ALLOW_ALL, { ...web, peerGroupSets: [3] }],
  ])
    expect(() => a.datapath.putRuleset({ id: 4, rules: others })).toThrow("immutable");
  expect(sizes()).toEqual(before);
});
