import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classOf, decideClass, INSTALLATION, isRead, SEE } from "../core/decide.ts";
import type { DecisionClass, Judge, ResourceGrant, ResourceRef } from "../core/decide.ts";
import type { Subject } from "../core/subject.ts";
import { createDecide, decide } from "./decide.ts";
import { judgeByPolicies } from "./policies.ts";

const READ = "nivc:GetInterface";
const ATTACH = "nivc:AttachInterface";
const account = (accountId: string, role: "owner" | "member" | "viewer"): Subject => ({
  kind: "account",
  principalId: "p",
  accountId,
  role,
});
const operator: Subject = { kind: "operator", principalId: "root", role: "operator" };
const host: Subject = { kind: "host", principalId: "host-1", hostId: "host-1" };
const nobody: Subject = { kind: "anonymous", principalId: "" };
const ofA = (grants: ResourceRef["grants"] = []): ResourceRef => ({ kind: "interface", id: "eni-1", ownerAccount: "a", grants });
const principal = (id: string, ownerAccount: string): ResourceRef => ({ kind: "principal", id, ownerAccount });
const effect = (subject: Subject, action: string, resource: ResourceRef) => decide(subject, action, resource).effect;

describe("decide", () => {
  it.each([
    ["operator writes anything", operator, ATTACH, ofA(), "allow"],
    ["owner writes", account("a", "owner"), ATTACH, ofA(), "allow"],
    ["viewer reads", account("a", "viewer"), READ, ofA(), "allow"],
    ["viewer does not write", account("a", "viewer"), ATTACH, ofA(), "deny-visible"],
    ["a viewer issues tokens in its own name", account("a", "viewer"), "identity:IssueToken", principal("p", "a"), "allow"],
    ["a viewer issues none in another's", account("a", "viewer"), "identity:IssueToken", principal("q", "a"), "deny-visible"],
    ["nor does it do anything else to itself", account("a", "viewer"), "identity:UpdatePrincipal", principal("p", "a"), "deny-visible"],
    ["an owner issues in others' names", account("a", "owner"), "identity:IssueToken", principal("q", "a"), "allow"],
    ["the name in another account is another", account("a", "viewer"), "identity:IssueToken", principal("p", "b"), "deny-hidden"],
    [
      "a thing of one's name is not oneself",
      account("a", "viewer"),
      "identity:IssueToken",
      { ...principal("p", "a"), kind: "vpc" },
      "deny-visible",
    ],
    ["a stranger sees nothing", account("b", "owner"), READ, ofA(), "deny-hidden"],
    ["a stranger does nothing", account("b", "owner"), ATTACH, ofA(), "deny-hidden"],
    ["a grantee does what it was granted", account("b", "owner"), ATTACH, ofA([{ accountId: "b", action: ATTACH }]), "allow"],
    ["a grantee sees", account("b", "viewer"), READ, ofA([{ accountId: "b", action: ATTACH }]), "allow"],
    ["a grantee's viewer does not write", account("b", "viewer"), ATTACH, ofA([{ accountId: "b", action: ATTACH }]), "deny-visible"],
    ["a grant is for one action", account("b", "owner"), "nivc:DeleteInterface", ofA([{ accountId: "b", action: ATTACH }]), "deny-visible"],
    ["a member reads its account's", account("a", "member"), READ, ofA(), "allow"],
    ["a member does nothing else there", account("a", "member"), ATTACH, ofA(), "deny-visible"],
    ["but what names it", account("a", "member"), ATTACH, ofA([{ accountId: "a", principalId: "p", action: ATTACH }]), "allow"],
    ["not what names another", account("a", "member"), ATTACH, ofA([{ accountId: "a", principalId: "q", action: ATTACH }]), "deny-visible"],
    ["nor what its account is allowed", account("b", "member"), ATTACH, ofA([{ accountId: "b", action: ATTACH }]), "deny-visible"],
    [
      "a grant to a principal is nobody else's",
      account("b", "owner"),
      READ,
      ofA([{ accountId: "b", principalId: "q", action: ATTACH }]),
      "deny-hidden",
    ],
    ["an owner does what names it", account("b", "owner"), ATTACH, ofA([{ accountId: "b", principalId: "p", action: ATTACH }]), "allow"],
    [
      "a viewer that is named sees",
      account("b", "viewer"),
      ATTACH,
      ofA([{ accountId: "b", principalId: "p", action: ATTACH }]),
      "deny-visible",
    ],
    ["a grant is for one account", account("c", "owner"), ATTACH, ofA([{ accountId: "b", action: ATTACH }]), "deny-hidden"],
    ["a host is no account", host, READ, ofA(), "deny-hidden"],
    ["nobody is no account", nobody, READ, ofA(), "deny-hidden"],
    ["an account does not act on the installation", account("a", "owner"), "identity:CreateAccount", INSTALLATION, "deny-visible"],
    ["nor reads what is about it", account("a", "owner"), "host:ListHosts", INSTALLATION, "deny-visible"],
    ["an operator acts on the installation", operator, "identity:CreateAccount", INSTALLATION, "allow"],
    [
      "an account of no name owns nothing",
      { kind: "account", principalId: "p", accountId: "", role: "owner" },
      READ,
      { kind: "x", id: "", ownerAccount: "" },
      "deny-hidden",
    ],
  ] as const)("%s", (_title, subject, action, resource, wanted) => {
    expect(effect(subject, action, resource)).toBe(wanted);
  });

  const names = fc.constantFrom("a", "b", "c");
  const actions = fc.constantFrom(READ, ATTACH, "nivc:ListInterfaces", "nivc:DeleteInterface", SEE);
  const subjects = fc.oneof(
    fc.record({
      kind: fc.constant("account" as const),
      principalId: fc.constantFrom("p", "q"),
      accountId: names,
      role: fc.constantFrom("owner" as const, "member" as const, "viewer" as const),
    }),
    fc.constantFrom(operator, host, nobody),
  );
  const grants = fc.record({ accountId: names, principalId: fc.constantFrom("", "", "p", "q"), action: actions });
  const resources = fc.record({
    kind: fc.constant("interface"),
    id: fc.constant("eni-1"),
    ownerAccount: names,
    grants: fc.array(grants, { maxLength: 4 }),
  });

  it("hides exactly what a look is refused", () => {
    fc.assert(
      fc.property(subjects, actions, resources, (subject, action, resource) => {
        const seen = effect(subject, SEE, resource) === "allow";
        expect(effect(subject, action, resource) === "deny-hidden").toBe(!seen);
      }),
    );
  });

  it("gives a viewer no write, ever, and a further grant takes nothing away", () => {
    fc.assert(
      fc.property(subjects, actions, resources, grants, (subject, action, resource, grant) => {
        const before = effect(subject, action, resource);
        if (subject.role === "viewer" && !isRead(action)) expect(before).not.toBe("allow");
        const after = effect(subject, action, { ...resource, grants: [...resource.grants, grant] });
        if (before === "allow") expect(after).toBe("allow");
      }),
    );
  });

  it("is what the rules say in words, for everybody and everything", () => {
    fc.assert(
      fc.property(subjects, actions, resources, (subject, action, resource) => {
        expect(effect(subject, action, resource)).toBe(inWords(subject, action, resource));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** The same rules a second time, without Cedar. */
function inWords(subject: Subject, action: string, resource: ResourceRef): string {
  if (subject.kind === "operator") return "allow";
  if (subject.kind !== "account") return "deny-hidden";
  const to = (grant: ResourceGrant, who: string): boolean => grant.accountId === subject.accountId && (grant.principalId ?? "") === who;
  const named = (resource.grants ?? []).filter((grant) => to(grant, subject.principalId)).map((grant) => grant.action);
  const granted = [...named, ...(resource.grants ?? []).filter((grant) => to(grant, "")).map((grant) => grant.action)];
  const own = resource.ownerAccount === subject.accountId;
  if (!own && granted.length === 0) return "deny-hidden";
  if (isRead(action)) return "allow";
  if (subject.role === "viewer") return "deny-visible";
  if (subject.role === "member") return named.includes(action) ? "allow" : "deny-visible";
  return own || granted.includes(action) ? "allow" : "deny-visible";
}

describe("the policies", () => {
  const rule = (subject: Subject, action: string, resource: ResourceRef) => decide(subject, action, resource).rule;

  it("are named by who was decided about", () => {
    expect(rule(operator, ATTACH, ofA())).toBe("operator");
    expect(rule(account("a", "owner"), ATTACH, ofA())).toBe("owner");
    expect(rule(account("a", "viewer"), READ, ofA())).toBe("account-reads");
    expect(rule(account("a", "viewer"), ATTACH, ofA())).toBe("viewers-only-read");
    expect(rule(account("b", "owner"), ATTACH, ofA([{ accountId: "b", action: ATTACH }]))).toBe("grantee-acts");
    expect(rule(account("b", "owner"), ATTACH, ofA())).toBe("default deny");
  });

  it("are asked once a class: a batch of equal items is one evaluation, an unequal one is not lost in it", () => {
    const asked: DecisionClass[] = [];
    const counting: Judge = (of) => {
      asked.push(of);
      return judgeByPolicies(of);
    };
    const once = createDecide(counting);
    const items = Array.from({ length: 1_000 }, (_, index): ResourceRef => ({ kind: "interface", id: `eni-${index}`, ownerAccount: "a" }));
    for (const item of items) expect(once(account("a", "owner"), ATTACH, item).effect).toBe("allow");
    expect(asked).toHaveLength(1);
    expect(once(account("a", "owner"), ATTACH, { kind: "interface", id: "eni-0", ownerAccount: "b" }).effect).toBe("deny-hidden");
    expect(asked.length).toBeGreaterThan(1);
  });

  it("decide as if nothing were kept, also when what is kept overflows", () => {
    const small = createDecide(judgeByPolicies, 3);
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            kind: fc.constantFrom("owner" as const, "viewer" as const),
            who: fc.constantFrom("a", "b"),
            action: fc.constantFrom(READ, ATTACH),
          }),
          { maxLength: 8 },
        ),
        (questions) => {
          for (const { kind, who, action } of questions) {
            const subject = account(who, kind);
            expect(small(subject, action, ofA())).toEqual(decideClass(judgeByPolicies, classOf(subject, action, ofA())));
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});
