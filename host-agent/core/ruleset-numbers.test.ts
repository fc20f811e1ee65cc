import { expect, test } from "vitest";
import type { Rule } from "./ports.ts";
import { RulesetNumbers } from "./ruleset-numbers.ts";

const rules = (port: number): Rule[] => [{ direction: "ingress", protocol: 6, portFrom: port, portTo: port, peerCidr: "0.0.0.0/0" }];
const never = (): boolean => false;

test("the feed's number stands for the first rules that are told under it, and for no others", () => {
  const numbers = new RulesetNumbers();
  expect([numbers.tell(7, rules(1), never), numbers.tell(7, rules(1), never)]).toEqual([7, 7]);
  const other = numbers.tell(7, rules(2), never);
  expect(other).toBeGreaterThanOrEqual(2 ** 31);
  expect(numbers.tell(7, rules(2), never)).toBe(other);
  const first = numbers.tell(7, rules(1), never);
  expect([7, other]).not.toContain(first);
  expect(numbers.tell(7, rules(2), never)).toBe(other);
  expect(numbers.tell(8, rules(1), never)).toBe(8);
});

test("a successor finds the number that its predecessor gave, by the rules", () => {
  const before = new RulesetNumbers();
  before.tell(7, rules(1), never);
  const number = before.tell(7, rules(2), never);
  expect(new RulesetNumbers().tell(7, rules(2), (found) => found === number)).toBe(number);
  expect(new RulesetNumbers().tell(7, rules(3), (found) => found === number)).toBe(7);
});

test("sets of a group that is named come and go under one number; another group is other rules, and so are other sets of one without a name", () => {
  const naming = (peerGroupId: string, ...peerGroupSets: number[]): Rule[] => [
    { direction: "ingress", protocol: 6, portFrom: 80, portTo: 80, peerGroupId, peerGroupSets },
  ];
  const numbers = new RulesetNumbers();
  expect([naming("sg-1"), naming("sg-1", 3), naming("sg-1", 4, 5)].map((some) => numbers.tell(7, some, never))).toEqual([7, 7, 7]);
  expect(numbers.tell(7, naming("sg-2"), never)).not.toBe(7);
  expect(numbers.tell(8, naming("", 3), never)).toBe(8);
  expect(numbers.tell(8, naming("", 4), never)).not.toBe(8);
});

test("what the kernel holds otherwise gets another number, and another", () => {
  const numbers = new RulesetNumbers();
  expect(numbers.tell(7, rules(1), never)).toBe(7);
  const some = [numbers.another(7), numbers.another(7), numbers.another(7)];
  expect(new Set(some).size).toBe(3);
  for (const number of some) expect(number).toBeGreaterThanOrEqual(2 ** 31);
  expect(numbers.tell(7, rules(1), never)).toBe(some[2]);
  expect(() => numbers.another(8)).toThrow("not told");
});

test("what was told longest ago is forgotten", () => {
  const numbers = new RulesetNumbers(2);
  for (const id of [1, 2, 3]) numbers.tell(id, rules(1), never);
  expect(numbers.tell(1, rules(2), never)).toBe(1);
  expect(numbers.tell(3, rules(2), never)).toBeGreaterThanOrEqual(2 ** 31);
});
