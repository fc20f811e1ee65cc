import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grantsOf, inForce, planConsents } from "./consent.ts";
import type { Consent } from "./consent.ts";

const consent = (granteeAccount: string, actions: readonly string[] = ["x:Do"]): Consent => ({
  consentId: `cons-${granteeAccount}`,
  grantorAccount: "owner",
  granteeAccount,
  actions,
  resourceKind: "thing",
  resourceId: "thing-1",
  state: "ACTIVE",
  validFrom: null,
  validUntil: null,
  version: 1n,
  createTime: new Date(0),
  revokeTime: null,
});
const now = new Date(1_000);
const accounts = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"));

describe("planConsents", () => {
  it("leaves exactly the wanted accounts, each once, and touches nobody who stays", () => {
    fc.assert(
      fc.property(accounts, fc.array(fc.constantFrom("a", "b", "c", "d", "e")), (have: string[], want: string[]) => {
        const active = have.map((account) => consent(account));
        const { add, revoke, keep } = planConsents(active, want, now);
        const revoked = new Set(revoke.map((one) => one.granteeAccount));
        const left = [...have.filter((account) => !revoked.has(account)), ...add];
        expect(left.toSorted()).toEqual([...new Set(want)].toSorted());
        expect(add.some((account) => have.includes(account))).toBe(false);
        expect(keep.map((one) => one.granteeAccount)).toEqual(have.filter((account) => !revoked.has(account)));
        expect([...revoked].some((account) => want.includes(account))).toBe(false);
      }),
    );
  });
});

describe("a consent whose time is over", () => {
  it("is made anew where it is wanted, and a suspended one stays", () => {
    const over = { ...consent("a"), validUntil: now };
    const suspended = { ...consent("b"), state: "SUSPENDED" as const };
    expect(planConsents([over, suspended], ["a", "b"], now)).toEqual({ add: ["a"], revoke: [over], keep: [suspended] });
  });

  it.each([
    ["ACTIVE", null, null, true],
    ["SUSPENDED", null, null, false],
    ["REVOKED", null, null, false],
    ["ACTIVE", 1_000, null, true],
    ["ACTIVE", 1_001, null, false],
    ["ACTIVE", null, 1_000, false],
    ["ACTIVE", 999, 1_001, true],
  ] as const)("allows while it is in force: %s from %s until %s: %s", (state, from, until, expected) => {
    const at = (time: number | null) => (time === null ? null : new Date(time));
    expect(inForce({ state, validFrom: at(from), validUntil: at(until) }, now)).toBe(expected);
  });
});

describe("grantsOf", () => {
  it("names each action of each consent", () => {
    expect(grantsOf([consent("a", ["x:Do", "x:Undo"]), consent("b")])).toEqual([
      { accountId: "a", action: "x:Do", consentId: "cons-a" },
      { accountId: "a", action: "x:Undo", consentId: "cons-a" },
      { accountId: "b", action: "x:Do", consentId: "cons-b" },
    ]);
    expect(grantsOf([])).toEqual([]);
  });
});
