// Cost of a decision: the policies (Cedar) each time, once a class, and the plain function that they replaced.
import { classOf, decideClass } from "../coordinator/call/core/decide.ts";
import type { Judge, ResourceRef } from "../coordinator/call/core/decide.ts";
import type { Subject } from "../coordinator/call/core/subject.ts";
import { createDecide } from "../coordinator/call/out/decide.ts";
import { judgeByPolicies } from "../coordinator/call/out/policies.ts";

const ATTACH = "nivc:AttachInterface";
const BATCH = 1_000;

/** The rules as code. */
const plain: Judge = ({ subject, account, role, action, owner, granted }) => {
  if (subject === "operator") return { allowed: true, policy: "operator" };
  if (subject !== "user") return { allowed: false, policy: undefined };
  const read = /:(Get|List|WhoAmI)/.test(action);
  if (owner === account) return { allowed: read || role === "owner", policy: "owner" };
  return { allowed: granted.length > 0 && (read || (role === "owner" && granted.includes(action))), policy: "grantee" };
};

const subjects: Subject[] = [
  { kind: "operator", principalId: "root", role: "operator" },
  { kind: "account", principalId: "alice", accountId: "acct-a", role: "owner" },
  { kind: "account", principalId: "vic", accountId: "acct-a", role: "viewer" },
  { kind: "account", principalId: "bob", accountId: "acct-b", role: "owner" },
];
const items = Array.from({ length: BATCH }, (_, index): ResourceRef => ({
  kind: "interface",
  id: `eni-${index}`,
  ownerAccount: index % 2 === 0 ? "acct-a" : "acct-c",
  grants: index % 3 === 0 ? [{ accountId: "acct-b", action: ATTACH, consentId: `cons-${index}` }] : [],
}));

/** Microseconds a decision, the best of several rounds. */
function measure(rounds: number, decide: (subject: Subject, item: ResourceRef) => unknown): number {
  let best = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    for (const subject of subjects) for (const item of items) decide(subject, item);
    best = Math.min(best, ((performance.now() - start) * 1_000) / (subjects.length * items.length));
  }
  return best;
}

const each = measure(3, (subject, item) => decideClass(judgeByPolicies, classOf(subject, ATTACH, item)));
const code = measure(20, (subject, item) => decideClass(plain, classOf(subject, ATTACH, item)));
const decide = createDecide(judgeByPolicies);
const kept = measure(20, (subject, item) => decide(subject, ATTACH, item));
let evaluations = 0;
const counting = createDecide((of) => {
  evaluations += 1;
  return judgeByPolicies(of);
});
const cold = measure(1, (subject, item) => counting(subject, ATTACH, item));

const row = (name: string, microseconds: number): string =>
  `${name.padEnd(44)} ${microseconds.toFixed(2).padStart(9)} µs   ${(microseconds / code).toFixed(1).padStart(7)} × plain code`;
process.stdout.write(
  [
    row("plain code, each time", code),
    row("policies, each time", each),
    row(`policies once a class, first batches (${evaluations} runs)`, cold),
    row("policies once a class, afterwards", kept),
    `a batch of ${BATCH}: ${((each * BATCH) / 1_000).toFixed(0)} ms decided each time, ${((kept * BATCH) / 1_000).toFixed(2)} ms once a class`,
    "",
  ].join("\n"),
);
