import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Rule, RuleProtocol } from "./model.ts";
import { highestPort, protocolNumber, protocolOf } from "./protocol.ts";
import { portFault, sameRules, withoutRules, withRules } from "./rules.ts";

const rule: fc.Arbitrary<Rule> = fc.record({
  direction: fc.constantFrom("ingress" as const, "egress" as const),
  protocol: fc.constantFrom<RuleProtocol>("any", "tcp", 47),
  portFrom: fc.integer({ min: 0, max: 1 }),
  portTo: fc.integer({ min: 1, max: 2 }),
  cidr: fc.constantFrom("10.0.0.0/8", ""),
  groupId: fc.constantFrom("", "sg-1"),
  description: fc.constantFrom("", "x"),
});
const rules = fc.array(rule, { maxLength: 6 });
/** A list, and what to take from it: of it, and at times something else. */
const someOf = rules.chain((now) =>
  fc.record({ now: fc.constant(now), gone: fc.tuple(fc.subarray(now), fc.array(rule, { maxLength: 1 })).map((two) => two.flat()) }),
);
const bare = (one: Rule): string => JSON.stringify({ ...one, description: "" });

describe("rules that are added", () => {
  it("are there, once, beside all that was there as it was", () => {
    fc.assert(
      fc.property(rules, rules, (now, added) => {
        const all = withRules(now, added);
        expect(all.slice(0, now.length)).toEqual(now);
        expect(new Set(all.map(bare))).toEqual(new Set([...now, ...added].map(bare)));
        expect(new Set(all.slice(now.length).map(bare)).size).toBe(all.length - now.length);
        expect(sameRules(withRules(all, added), all)).toBe(true);
      }),
    );
  });
});

describe("rules that are removed", () => {
  it("are gone, and nothing else is; the first that was not there is named", () => {
    fc.assert(
      fc.property(someOf, ({ now, gone }) => {
        const there = new Set(now.map(bare));
        const missing = gone.findIndex((one) => !there.has(bare(one)));
        const named = new Set(gone.map(bare));
        const left = now.filter((one) => !named.has(bare(one)));
        expect(withoutRules(now, gone)).toEqual(missing === -1 ? { left } : { missing });
      }),
    );
  });

  it("say the same as rules kept before groups could be named", () => {
    const old: Rule = { direction: "ingress", protocol: "tcp", portFrom: 1, portTo: 1, cidr: "10.0.0.0/8", description: "" };
    expect(withoutRules([old], [{ ...old, groupId: "", description: "y" }])).toEqual({ left: [] });
    expect(withoutRules([old], [{ ...old, groupId: "sg-1" }])).toEqual({ missing: 0 });
  });
});

describe("a protocol", () => {
  it("is kept by its name where it has one, and by its number else", () => {
    expect([0, 1, 6, 17, 47, 255].map(protocolOf)).toEqual(["any", "icmp", "tcp", "udp", 47, 255]);
    for (let number = 0; number < 256; number += 1) expect(protocolNumber(protocolOf(number))).toBe(number);
  });

  it.each([
    ["any", 0],
    ["icmp", 255],
    ["tcp", 65_535],
    ["udp", 65_535],
    [33, 65_535],
    [132, 65_535],
    [136, 65_535],
    [47, 0],
    [50, 0],
  ] as const)("%s has ports up to %i", (protocol, highest) => {
    expect(highestPort(protocol)).toBe(highest);
    expect(portFault({ protocol, portFrom: 0, portTo: highest })).toBeUndefined();
    expect(portFault({ protocol, portFrom: highest + 1, portTo: highest + 1 })?.field).toBe("port_from");
  });
});
