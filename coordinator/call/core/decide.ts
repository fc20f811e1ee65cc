import type { Subject } from "./subject.ts";

/** What an action is about. Rows are read inside the transaction that acts, so that a revocation binds at once (C15). */
export interface ResourceRef {
  /** Word for people and for the audit: "interface", "VPC". */
  readonly kind: string;
  readonly id: string;
  readonly ownerAccount: string;
  /** What the owner allowed others, from consent. Actions as in the protos ("nivc:AttachInterface"). */
  readonly grants?: readonly ResourceGrant[];
  /** Id of the resource whose consents these are, where it is another one (an attachment's are its record's). */
  readonly consentsOn?: string;
  /** The host that is to carry it now, where hosts ask: it may get what is for the resource. */
  readonly carriedBy?: string;
}

export interface ResourceGrant {
  readonly accountId: string;
  /** Only this principal of the account; absent or empty: all who may act for it. */
  readonly principalId?: string;
  readonly action: string;
  /** The consent that says so. A write that rests on it holds it until its commit (C14); absent: it follows from the rows themselves. */
  readonly consentId?: string;
}

/** Whether a grant is one to this subject, be it by its account or by its name. */
export function isGrantee(subject: Subject, { accountId, principalId = "" }: ResourceGrant): boolean {
  return accountId === subject.accountId && (principalId === "" || principalId === subject.principalId);
}

const isNamed = ({ principalId = "" }: ResourceGrant): boolean => principalId !== "";

/** Whether this subject may write by a grant: owners by any of theirs, members by those that name them, whatever their account was given. */
export function actsBy(subject: Subject, grant: ResourceGrant): boolean {
  return isGrantee(subject, grant) && (subject.role === "owner" || (subject.role === "member" && isNamed(grant)));
}

/** Whether a subject needs nobody's consent: an operator, and whoever owns the resource with its account. */
export const inOwnRight = (subject: Subject, { ownerAccount }: Pick<ResourceRef, "ownerAccount">): boolean =>
  subject.kind === "operator" || (subject.role === "owner" && subject.accountId === ownerAccount);

/** The installation as a whole: only operators read it and act on it, and nobody needs to be told that it is not there. */
export const INSTALLATION: ResourceRef = { kind: "installation", id: "", ownerAccount: "" };

/**
 * allow; deny-hidden: the caller may not know that the resource exists (NOT_FOUND); deny-visible: it may see it and not do this
 * (PERMISSION_DENIED).
 */
export type Effect = "allow" | "deny-hidden" | "deny-visible";

export interface Decision {
  readonly effect: Effect;
  /** Id of the policy that decided, or {@link DEFAULT_DENY}; for the audit. */
  readonly rule: string;
}

/** No policy allows it. */
export const DEFAULT_DENY = "default deny";

/** The action that a mere look at a resource is, whatever the kind. */
export const SEE = "any:Get";

/** Whether an action only reads: its verb says so. */
export function isRead(action: string): boolean {
  return /:(Get|List|WhoAmI)/.test(action);
}

/**
 * All of a decision that policies read, and nothing else: subjects and resources of equal classes are decided alike by construction,
 * so that a batch costs one evaluation for each class in it (C15).
 */
export interface DecisionClass {
  readonly subject: "operator" | "user" | "host" | "nobody";
  /** The user's; else empty. */
  readonly account: string;
  /** The user's; else empty. */
  readonly role: "owner" | "member" | "viewer" | "";
  readonly action: string;
  readonly resource: "installation" | "resource";
  readonly owner: string;
  /** Whether the resource is the user's own principal. */
  readonly self: boolean;
  /** Whether the user is an instance that acts as a principal. */
  readonly delegated: boolean;
  /** Whether the resource is what the host that asks is to carry. */
  readonly carried: boolean;
  /** Actions that consents allow the user on the resource, by account or by name, sorted. Those of others do not bear on it. */
  readonly granted: readonly string[];
  /** Those of them that name the user's principal: what a member may do. */
  readonly named: readonly string[];
}

const actionsOf = (grants: readonly ResourceGrant[]): string[] => [...new Set(grants.map((grant) => grant.action))].sort();

/** The class of a question. A user of no account is nobody: nothing can be its own. */
export function classOf(subject: Subject, action: string, resource: ResourceRef): DecisionClass {
  const account = subject.kind === "account" ? (subject.accountId ?? "") : "";
  const user = account !== "";
  const kind = user ? "user" : subject.kind === "operator" || subject.kind === "host" ? subject.kind : "nobody";
  const grants = user ? (resource.grants ?? []).filter((grant) => isGrantee(subject, grant)) : [];
  const role = subject.role === "owner" || subject.role === "member" ? subject.role : "viewer";
  return {
    subject: kind,
    account,
    role: user ? role : "",
    action,
    resource: resource.kind === INSTALLATION.kind ? "installation" : "resource",
    owner: resource.ownerAccount,
    self: user && resource.kind === "principal" && resource.ownerAccount === account && resource.id === subject.principalId,
    delegated: user && subject.via !== undefined,
    carried: kind === "host" && resource.carriedBy !== undefined && resource.carriedBy === subject.hostId,
    granted: actionsOf(grants),
    named: actionsOf(grants.filter(isNamed)),
  };
}

/** A class as text; equal exactly for equal classes. */
export function classKey(of: DecisionClass): string {
  const { subject, account, role, action, resource, owner, self, delegated, carried, granted, named } = of;
  return JSON.stringify([subject, account, role, action, resource, owner, self, delegated, carried, granted, named]);
}

/** What the policies say of one class. */
export interface Verdict {
  readonly allowed: boolean;
  /** Id of a policy that decided; undefined: none spoke. */
  readonly policy: string | undefined;
}

/** Whatever evaluates policies: a pure function. */
export type Judge = (of: DecisionClass) => Verdict;

/** May the class's subject do it, and if not, may it know that the resource is there? */
export function decideClass(judge: Judge, of: DecisionClass): Decision {
  const verdict = judge(of);
  const rule = verdict.policy ?? DEFAULT_DENY;
  if (verdict.allowed) return { effect: "allow", rule };
  const seen = of.action !== SEE && judge({ ...of, action: SEE }).allowed;
  return { effect: seen ? "deny-visible" : "deny-hidden", rule };
}
