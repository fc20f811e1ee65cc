import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classOf, decideClass, INSTALLATION, isRead, SEE } from "../core/decide.ts";
import type { DecisionClass, Judge, ResourceRef } from "../core/decide.ts";
import type { Subject } from "../core/subject.ts";
import { createDecide, decide } from "./decide.ts";
import { judgeByPolicies } from "./policies.ts";

const READ = "nivc:GetInterface";
const ATTACH = "nivc:AttachInterface";
const account = (accountId: string, role: "owner" | "viewer"): Subject => ({ kind: "account", principalId: "p", accountId, role });
const operator: Subject = { kind: "operator", principalId: "root", role: "operator" };
const host: Subject = { kind: "host", principalId: "host-1", hostId: "host-1" };
const nobody: Subject = { kind: "anonymous", principalId: "" };
const ofA = (grants: ResourceRef["grants"] = []): ResourceRef => ({ kind: "interface", id: "eni-1", ownerAccount: "a", grants });
const effect = (subject: Subject, action: string, resource: ResourceRef) => decide(subject, action, resource).effect;

describe("decide", () => {
  it.each([
    ["operator writes anything", operator, ATTACH, ofA(), "allow"],
    ["owner writes", account("a", "owner"), ATTACH, ofA(), "allow"],
    ["viewer reads", account("a", "viewer"), READ, ofA(), "allow"],
    ["viewer does not write", account("a", "viewer"), ATTACH, ofA(), "deny-visible"],
    ["a viewer issues tokens (no stronger than its own: identity checks)", account("a", "viewer"), "identity:IssueToken", ofA(), "allow"],
    ["a stranger sees nothing", account("b", "owner"), READ, ofA(), "deny-hidden"],
    ["a stranger does nothing", account("b", "owner"), ATTACH, ofA(), "deny-hidden"],
    ["a grantee does what it was granted", account("b", "owner"), ATTACH, ofA([{ accountId: "b", action: ATTACH }]), "allow"],
    ["a grantee sees", account("b", "viewer"), READ, ofA([{ accountId: "b", action: ATTACH }]), "allow"],
    ["a grantee's viewer does not write", account("b", "viewer"), ATTACH, ofA([{ accountId: "b", action: ATTACH }]), "deny-visible"],
    ["a grant is for one action", account("b", "owner"), "nivc:DeleteInterface", ofA([{ accountId: "b", action: ATTACH }]), "deny-visible"],
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
      principalId: fc.constant("p"),
      accountId: names,
      role: fc.constantFrom("owner" as const, "viewer" as const),
    }),
    fc.constantFrom(operator, host, nobody),
  );
  const resources = fc.record({
    kind: fc.constant("interface"),
    id: fc.constant("eni-1"),
    ownerAccount: names,
    grants: fc.array(fc.record({ accountId: names, action: actions }), { maxLength: 4 }),
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
      fc.property(subjects, actions, resources, fc.record({ accountId: names, action: actions }), (subject, action, resource, grant) => {
        const before = effect(subject, action, resource);
        if (subject.role === "viewer" && !isRead(action)) expect(before).not.toBe("allow");
        const after = effect(subject, action, { ...resource, grants: [...resource.grants, grant] });
        if (before === "allow") expect(after).toBe("allow");
      }),
    );
  });
});
