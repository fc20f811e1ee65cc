import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grantsOf, planConsents } from "./consent.ts";
import type { Consent } from "./consent.ts";

const consent = (granteeAccount: string, actions: readonly string[] = ["x:Do"]): Consent => ({
  consentId: `cons-${granteeAccount}`,
  grantorAccount: "owner",
  granteeAccount,
  actions,
  resourceKind: "thing",
  resourceId: "thing-1",
  createTime: new Date(0),
});
const accounts = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"));

describe("planConsents", () => {
  it("leaves exactly the wanted accounts, each once, and touches nobody who stays", () => {
    fc.assert(
      fc.property(accounts, fc.array(fc.constantFrom("a", "b", "c", "d", "e")), (have: string[], want: string[]) => {
        const active = have.map((account) => consent(account));
        const { add, revoke } = planConsents(active, want);
        const revoked = new Set(revoke.map((one) => one.granteeAccount));
        const left = [...have.filter((account) => !revoked.has(account)), ...add];
        expect(left.toSorted()).toEqual([...new Set(want)].toSorted());
        expect(add.some((account) => have.includes(account))).toBe(false);
        expect([...revoked].some((account) => want.includes(account))).toBe(false);
      }),
    );
  });
});

describe("grantsOf", () => {
  it("names each action of each consent", () => {
    expect(grantsOf([consent("a", ["x:Do", "x:Undo"]), consent("b")])).toEqual([
      { accountId: "a", action: "x:Do" },
      { accountId: "a", action: "x:Undo" },
      { accountId: "b", action: "x:Do" },
    ]);
    expect(grantsOf([])).toEqual([]);
  });
});
