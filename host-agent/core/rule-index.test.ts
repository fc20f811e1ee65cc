import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Rule } from "./ports.ts";
import { indexRules, RULES_PER_DIRECTION, type PortEntry, type Prefix, type RuleIndex } from "./rule-index.ts";

/** A packet as rules see it; `port` undefined: not known. */
interface Asked {
  family: 4 | 6;
  peer: number[];
  groupSet: number;
  protocol: number;
  port: number | undefined;
}

/** "4 10.0.0.0 8" in a form of the test's own. */
const cidr = (p: { family: 4 | 6; bytes: number[]; length: number }): string => JSON.stringify(p);

function prefixOf(text: string): Prefix {
  const { family, bytes, length } = JSON.parse(text) as { family: 4 | 6; bytes: number[]; length: number };
  const network = Uint8Array.from(bytes, (byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff);
  return { family, network, length };
}

const bitsOf = (bytes: ArrayLike<number>): string =>
  Array.from(bytes)
    .map((b) => b.toString(2).padStart(8, "0"))
    .join("");

const WITH_PORTS = [1, 6, 17, 33, 132, 136];

// Rule by rule, as the text of docs/design/connections.md says it.
function naive(rules: readonly Rule[], asked: Asked): "allow" | "fragment" | "deny" {
  let answer: "fragment" | "deny" = "deny";
  for (const rule of rules) {
    if ("peerGroupSets" in rule) {
      if (asked.groupSet === 0 || !rule.peerGroupSets.includes(asked.groupSet)) continue;
    } else {
      const { family, network, length } = prefixOf(rule.peerCidr);
      if (family !== asked.family || bitsOf(network).slice(0, length) !== bitsOf(asked.peer).slice(0, length)) continue;
    }
    if (rule.protocol !== 0 && rule.protocol !== asked.protocol) continue;
    const all = rule.protocol === 0 || (rule.portFrom === 0 && rule.portTo === 65535) || !WITH_PORTS.includes(asked.protocol);
    if (all || (asked.port !== undefined && asked.port >= rule.portFrom && asked.port <= rule.portTo)) return "allow";
    if (asked.port === undefined) answer = "fragment";
  }
  return answer;
}

function longest<T extends { length: number; bits: bigint }>(entries: T[], covers: (entry: T) => boolean): bigint {
  return entries.filter(covers).toSorted((a, b) => b.length - a.length)[0]?.bits ?? 0n;
}

/** The three lookups, as the kernel does them. */
function lookedUp(index: RuleIndex, asked: Asked): "allow" | "fragment" | "deny" {
  const peer = bitsOf(asked.peer);
  const who =
    longest(index.peers, (p) => p.family === asked.family && bitsOf(p.network).slice(0, p.length) === peer.slice(0, p.length)) |
    (asked.groupSet === 0 ? 0n : (index.groups.find((g) => g.groupSetId === asked.groupSet)?.bits ?? 0n));
  const port = bitsOf([asked.protocol, (asked.port ?? 0) >> 8, (asked.port ?? 0) & 255]);
  const known = asked.port === undefined ? 8 : 24;
  const of = (entries: PortEntry[]): bigint =>
    longest(
      entries,
      (e) => e.length <= known && bitsOf([e.protocol, e.port >> 8, e.port & 255]).slice(0, e.length) === port.slice(0, e.length),
    );
  if ((who & of(index.ports)) !== 0n) return "allow";
  return asked.port === undefined && (who & of(index.anyPort)) !== 0n ? "fragment" : "deny";
}

// Few values, so that rules and packets meet.
const protocol = fc.constantFrom(0, 1, 6, 17, 47, 136);
const port = fc.oneof(fc.integer({ min: 0, max: 24 }), fc.constantFrom(255, 256, 32767, 32768, 65534, 65535));
const bytes = fc.array(fc.constantFrom(0, 10, 11, 128, 255), { minLength: 4, maxLength: 4 });
const block = fc.oneof(
  fc.record({ family: fc.constant(4 as const), bytes, length: fc.integer({ min: 0, max: 32 }) }),
  fc.record({
    family: fc.constant(6 as const),
    bytes: bytes.map((b) => [...b, ...b, ...b, ...b]),
    length: fc.integer({ min: 0, max: 128 }),
  }),
);
const target = fc
  .tuple(protocol, port, port)
  .map(([p, a, b]) => ({ direction: "ingress" as const, protocol: p, portFrom: Math.min(a, b), portTo: Math.max(a, b) }));
const rule: fc.Arbitrary<Rule> = fc.oneof(
  fc.tuple(target, block).map(([t, b]): Rule => ({ ...t, peerCidr: cidr(b) })),
  fc
    .tuple(target, fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 3 }))
    .map(([t, g]): Rule => ({ ...t, peerGroupId: "sg-1", peerGroupSets: g })),
);
const asked: fc.Arbitrary<Asked> = fc
  .tuple(block, fc.integer({ min: 0, max: 6 }), fc.constantFrom(1, 6, 17, 47, 136), fc.option(port, { nil: undefined }))
  .map(([b, groupSet, p, at]) => ({
    ...{ family: b.family, peer: b.bytes, groupSet, protocol: p },
    port: WITH_PORTS.includes(p) ? at : 0, // ports that a protocol does not have are never unknown
  }));

describe("an index of rules", () => {
  test("gives the answer of the rules gone through one by one", () => {
    const seen = { allow: 0, fragment: 0, deny: 0 };
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 40 }), fc.array(asked, { minLength: 1, maxLength: 20 }), (rules, packets) => {
        const index = indexRules(rules, prefixOf);
        for (const packet of packets) {
          const expected = naive(rules, packet);
          expect(lookedUp(index, packet)).toBe(expected);
          seen[expected]++;
        }
      }),
      { numRuns: 3000 },
    );
    for (const count of Object.values(seen)) expect(count, JSON.stringify(seen)).toBeGreaterThan(100);
  });

  test("has no more entries than a rule's ports need prefixes", () => {
    const one = (portFrom: number, portTo: number): number =>
      indexRules(
        [{ direction: "egress", protocol: 6, portFrom, portTo, peerCidr: cidr({ family: 4, bytes: [0, 0, 0, 0], length: 0 }) }],
        prefixOf,
      ).ports.length;
    expect([one(0, 65535), one(80, 80), one(1024, 65535), one(1, 65534)]).toEqual([1, 1, 6, 30]);
  });

  test("refuses what is out of range", () => {
    const some = { direction: "egress" as const, protocol: 6, portFrom: 80, portTo: 80, peerGroupId: "", peerGroupSets: [1] };
    const index =
      (...rules: Rule[]) =>
      () =>
        indexRules(rules, prefixOf);
    expect(index(...Array.from({ length: RULES_PER_DIRECTION }, () => some))).not.toThrow();
    expect(index(...Array.from({ length: RULES_PER_DIRECTION + 1 }, () => some))).toThrow("at most 256");
    expect(index({ ...some, protocol: 256 })).toThrow(RangeError);
    expect(index({ ...some, portFrom: 81 })).toThrow(RangeError);
    expect(index({ ...some, portTo: 65536 })).toThrow(RangeError);
    expect(index({ ...some, peerGroupSets: [0] })).toThrow(RangeError);
  });
});
