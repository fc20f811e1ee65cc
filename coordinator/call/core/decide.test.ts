import { describe, expect, test } from "vitest";
import { classOf, decideClass, DEFAULT_DENY, INSTALLATION, SEE } from "./decide.ts";
import type { Subject } from "./subject.ts";

const user: Subject = { kind: "account", principalId: "p", accountId: "acc-1", role: "owner" };
const own = { kind: "interface", id: "eni-1", ownerAccount: "acc-1" };

describe("the class of a question", () => {
  test("a user of no account is nobody: nothing can be its own, and nothing is granted to it", () => {
    const grants = [{ accountId: "", action: "nivc:GetInterface" }];
    for (const accountId of [undefined, ""]) {
      const subject = { ...user, accountId };
      expect(classOf(subject, "nivc:GetInterface", { ...own, ownerAccount: "", grants })).toMatchObject({ subject: "nobody", granted: [] });
    }
  });

  test("holds what is granted to the user's own account, once and in order", () => {
    const grants = ["b", "a", "b"].map((action) => ({ accountId: "acc-1", action }));
    expect(classOf(user, "a", { ...own, grants: [...grants, { accountId: "acc-2", action: "c" }] }).granted).toEqual(["a", "b"]);
    expect(classOf(user, "a", own).granted).toEqual([]);
    expect(classOf({ kind: "operator", principalId: "p" }, "a", INSTALLATION)).toMatchObject({ subject: "operator", role: "" });
  });
});

test("who may see it is told that it may not, everybody else that there is nothing", () => {
  const of = classOf(user, "nivc:DeleteInterface", own);
  const sees = (action: string) => decideClass((asked) => ({ allowed: asked.action === SEE, policy: undefined }), { ...of, action }).effect;
  expect(sees("nivc:DeleteInterface")).toBe("deny-visible");
  expect(sees(SEE)).toBe("allow");
  expect(decideClass(() => ({ allowed: false, policy: undefined }), of)).toEqual({ effect: "deny-hidden", rule: DEFAULT_DENY });
  expect(decideClass(() => ({ allowed: false, policy: "p1" }), { ...of, action: SEE })).toEqual({ effect: "deny-hidden", rule: "p1" });
});
