import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cidr, containsCidr, formatCidr, isReserved, nthAddress, sizeOf } from "#lib/net/cidr.ts";
import { refusalOf } from "./blockers.ts";
import { compileRules, namedPeers, withSets } from "./compile-rules.ts";
import type { Rule } from "./model.ts";
import { DEFAULT_RULES, portFault, sameRules } from "./rules.ts";
import { availableAddressCount, blockFault, usableAddressCount, vpcBlockFault } from "./subnet-block.ts";

const blocks = fc
  .tuple(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 8, max: 28 }))
  .map(([value, prefix]) => ({ family: 4 as const, base: (BigInt(value) >> BigInt(32 - prefix)) << BigInt(32 - prefix), prefix }));

const rules: fc.Arbitrary<Rule> = fc.record({
  direction: fc.constantFrom("ingress" as const, "egress" as const),
  protocol: fc.constantFrom("any" as const, "icmp" as const, "tcp" as const, "udp" as const),
  portFrom: fc.integer({ min: 0, max: 3 }),
  portTo: fc.integer({ min: 0, max: 3 }),
  cidr: fc.constantFrom("0.0.0.0/0", "10.0.0.0/8"),
  description: fc.constantFrom("", "x"),
});

describe("a VPC's block", () => {
  it.each(["0.0.0.0/8", "127.0.0.0/16", "169.254.8.0/24", "169.0.0.0/8", "224.0.0.0/8", "239.1.0.0/16", "240.0.0.0/8", "255.0.0.0/8"])(
    "is not %s, where no instance could have an address",
    (block) => expect(vpcBlockFault(cidr(block))).toMatch(/^is .* which meets /),
  );

  it.each(["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "126.0.0.0/8", "128.0.0.0/8", "198.51.100.0/24"])(
    "may be %s",
    (block) => expect(vpcBlockFault(cidr(block))).toBeUndefined(),
  );
});

describe("a subnet's block", () => {
  it("has exactly the addresses that are not reserved", () => {
    fc.assert(
      fc.property(fc.integer({ min: 22, max: 28 }), (prefix) => {
        const block = cidr(`10.0.0.0/${prefix}`);
        let usable = 0n;
        for (let index = 0n; index < sizeOf(block); index += 1n) if (!isReserved(block, nthAddress(block, index))) usable += 1n;
        expect(usableAddressCount(formatCidr(block))).toBe(usable);
      }),
    );
  });

  it("keeps four addresses for the network, as the contract says", () => {
    expect(usableAddressCount("10.0.0.0/28")).toBe(12n);
    expect(usableAddressCount("10.0.0.0/24")).toBe(252n);
    expect(usableAddressCount("10.0.0.0/31")).toBe(0n);
  });

  it("never has fewer than none left", () => {
    fc.assert(
      fc.property(blocks, fc.bigInt({ min: 0n, max: 1n << 33n }), (block, named) => {
        const left = availableAddressCount(formatCidr(block), named);
        expect(left >= 0n && left <= usableAddressCount(formatCidr(block))).toBe(true);
      }),
    );
  });

  it("is at fault exactly when it reaches out of the VPC's", () => {
    fc.assert(
      fc.property(blocks, blocks, (vpc, subnet) => {
        expect(blockFault(formatCidr(vpc), subnet) === undefined).toBe(containsCidr(vpc, subnet));
      }),
    );
    expect(blockFault("10.0.0.0/16", cidr("10.1.0.0/24"))).toBe("is 10.1.0.0/24, which is not inside the VPC's 10.0.0.0/16");
  });
});

describe("rules", () => {
  it.each([
    [{ protocol: "any", portFrom: 0, portTo: 0 }, undefined],
    [{ protocol: "any", portFrom: 1, portTo: 1 }, "port_from"],
    [{ protocol: "icmp", portFrom: 0, portTo: 255 }, undefined],
    [{ protocol: "icmp", portFrom: 8, portTo: 256 }, "port_to"],
    [{ protocol: "tcp", portFrom: 0, portTo: 65_535 }, undefined],
    [{ protocol: "udp", portFrom: 65_536, portTo: 65_536 }, "port_from"],
    [{ protocol: "tcp", portFrom: 443, portTo: 80 }, "port_to"],
  ] as const)("%j: fault in %s", (rule, field) => {
    expect(portFault(rule)?.field).toBe(field);
  });

  it("compile to the same bytes in whatever order the groups and their rules come", () => {
    fc.assert(
      fc.property(fc.array(fc.array(rules, { maxLength: 5 }), { maxLength: 4 }), (groups) => {
        const forward = compileRules(groups.map((list) => ({ rules: list })));
        const backward = compileRules(groups.toReversed().map((list) => ({ rules: list.toReversed() })));
        expect(forward).toEqual(backward);
        expect(new Set(forward.map((rule) => JSON.stringify(rule))).size).toBe(forward.length);
      }),
    );
  });

  it("lose nothing when compiled: each rule is there, with its ports written out", () => {
    fc.assert(
      fc.property(fc.array(rules, { maxLength: 8 }), (list) => {
        const compiled = compileRules([{ rules: list }]);
        for (const rule of list) {
          const all = rule.portFrom === 0 && rule.portTo === 0;
          const wanted = {
            portFrom: all ? 0 : rule.portFrom,
            portTo: all ? 65_535 : rule.portTo,
            egress: rule.direction === "egress",
            peerCidr: rule.cidr,
          };
          expect(compiled).toContainEqual(expect.objectContaining(wanted));
        }
      }),
    );
    expect(compileRules([{ rules: DEFAULT_RULES }])).toEqual([
      {
        egress: true,
        protocol: 0,
        portFrom: 0,
        portTo: 65_535,
        peerCidr: "0.0.0.0/0",
        peerIsGroup: false,
        peerGroupSetIds: [],
        peerGroupId: "",
      },
    ]);
  });

  it("name a group, apart from every block, and mean the sets that contain it when they are sent: ascending, none while nobody carries it", () => {
    const rule = (groupId: string, cidr = "") => ({ ...DEFAULT_RULES[0]!, cidr, groupId });
    const compiled = compileRules([{ rules: [rule("a"), rule("b"), rule("c"), rule("a"), rule("", "10.0.0.0/8")] }]);
    expect(compiled.map((one) => [one.peerIsGroup, one.peerCidr, one.peerGroupId, one.peerGroupSetIds])).toEqual([
      [false, "10.0.0.0/8", "", []],
      [true, "", "a", []],
      [true, "", "b", []],
      [true, "", "c", []],
    ]);
    expect(namedPeers(compiled)).toEqual(["a", "b", "c"]);
    const sets = new Map([
      ["a", [9, 2]],
      ["b", [2, 9, 11]],
    ]);
    expect(withSets(compiled, sets).map((one) => one.peerGroupSetIds)).toEqual([[], [2, 9], [2, 9, 11], []]);
    const before = { ...compiled[1]!, peerGroupId: "", peerGroupSetIds: [4] };
    expect(withSets([before], sets)).toEqual([before]);
  });

  it("are the same only in the same order and with the same words", () => {
    fc.assert(
      fc.property(
        fc.array(rules, { maxLength: 4 }),
        fc.array(rules, { maxLength: 4 }),
        (a, b) => sameRules(a, b) === (JSON.stringify(a) === JSON.stringify(b)),
      ),
    );
  });
});

describe("blockers", () => {
  const resource = { kind: "VPC", id: "vpc-1", ownerAccount: "a" };
  const blocker = (id: string, ownerAccount: string) => ({ kind: "interface", id, ownerAccount, remedy: `delete ${id}` });

  it("are named where the caller may see them and counted where not", () => {
    const named = [blocker("eni-1", "a"), blocker("eni-2", "b")];
    const refusal = refusalOf(resource, { named, more: 4 }, { canSee: ({ ownerAccount }) => ownerAccount === "a" });
    expect(refusal?.facts).toEqual({ blockers: "eni-1", more: "5" });
    expect(refusal?.message).toBe("VPC vpc-1 is still needed by eni-1 (delete eni-1); 5 more");
    expect(refusalOf(resource, { named: [], more: 0 }, { canSee: () => true })).toBeUndefined();
  });

  it("are named up to 20, and the rest counted", () => {
    const named = Array.from({ length: 25 }, (_, index) => blocker(`eni-${index}`, "a"));
    const refusal = refusalOf(resource, { named, more: 0 }, { canSee: () => true });
    expect(refusal?.facts["blockers"]?.split(",")).toHaveLength(20);
    expect(refusal?.facts["more"]).toBe("5");
  });
});
