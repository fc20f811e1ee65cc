import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { granteeKey, grantsOf, inForce, lapse, planConsents, wantedKey } from "./consent.ts";
import type { Consent, Wanted } from "./consent.ts";

const consent = (granteeAccount: string, actions: readonly string[] = ["x:Do"], granteePrincipal = ""): Consent => ({
  consentId: `cons-${granteeAccount}${granteePrincipal}`,
  grantorAccount: "owner",
  granteeAccount,
  granteePrincipal,
  actions,
  resourceKind: "thing",
  resourceId: "thing-1",
  state: "ACTIVE",
  grantorSuspended: false,
  validFrom: null,
  validUntil: null,
  version: 1n,
  createTime: new Date(0),
  revokeTime: null,
});
const wanted = (accountId: string, principalId = ""): Wanted => ({
  accountId,
  principalId,
  validFrom: null,
  validUntil: null,
  maximum: null,
});
const now = new Date(1_000);
const grantee = fc.record({ account: fc.constantFrom("a", "b", "c"), principal: fc.constantFrom("", "p", "q") });
const keyOf = (one: { account: string; principal: string }): string => `${one.account} ${one.principal}`;

describe("planConsents", () => {
  it("leaves exactly who is wanted, each once, and touches nobody who stays", () => {
    fc.assert(
      fc.property(fc.uniqueArray(grantee, { selector: keyOf }), fc.array(grantee), (have, want) => {
        const standing = have.map(({ account, principal }) => consent(account, ["x:Do"], principal));
        const { add, revoke, keep } = planConsents(
          standing,
          want.map(({ account, principal }) => wanted(account, principal)),
          now,
        );
        const revoked = new Set(revoke.map(granteeKey));
        const left = [...have.map(keyOf).filter((key) => !revoked.has(key)), ...add.map(wantedKey)];
        expect(left.toSorted()).toEqual([...new Set(want.map(keyOf))].toSorted());
        expect(add.some((one) => have.map(keyOf).includes(wantedKey(one)))).toBe(false);
        expect(keep.map((one) => granteeKey(one.consent))).toEqual(have.map(keyOf).filter((key) => !revoked.has(key)));
        expect(keep.every((one) => wantedKey(one.wanted) === granteeKey(one.consent))).toBe(true);
      }),
    );
  });
});

describe("a consent whose time is over", () => {
  it("is made anew where it is wanted, and a suspended one stays", () => {
    const over = { ...consent("a"), validUntil: now };
    const suspended = { ...consent("b"), state: "SUSPENDED" as const };
    expect(planConsents([over, suspended], [wanted("a"), wanted("b")], now)).toEqual({
      add: [wanted("a")],
      revoke: [over],
      keep: [{ consent: suspended, wanted: wanted("b") }],
    });
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
    const one = { ...consent("a"), state, validFrom: at(from), validUntil: at(until) };
    expect(inForce(one, now)).toBe(expected);
    expect(lapse(one, now) === undefined).toBe(expected);
    const suspended = { ...one, grantorSuspended: true };
    expect(inForce(suspended, now)).toBe(false);
    expect(lapse(suspended, now)).toMatch(state === "ACTIVE" ? /while owner, which gave it, is suspended/ : /ask its grantor/);
  });
});

describe("grantsOf", () => {
  it("names the principal where the consent does", () => {
    expect(grantsOf([consent("a", ["x:Do"], "p")])).toEqual([{ accountId: "a", principalId: "p", action: "x:Do", consentId: "cons-ap" }]);
  });

  it("names each action of each consent", () => {
    expect(grantsOf([consent("a", ["x:Do", "x:Undo"]), consent("b")])).toEqual([
      { accountId: "a", action: "x:Do", consentId: "cons-a" },
      { accountId: "a", action: "x:Undo", consentId: "cons-a" },
      { accountId: "b", action: "x:Do", consentId: "cons-b" },
    ]);
    expect(grantsOf([])).toEqual([]);
  });
});
