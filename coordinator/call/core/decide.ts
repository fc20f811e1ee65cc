import type { Subject } from "./subject.ts";

/** What an action is about. Rows are read inside the transaction that acts, so that a revocation binds at once (C15). */
export interface ResourceRef {
  /** Word for people and for the audit: "interface", "VPC". */
  readonly kind: string;
  readonly id: string;
  readonly ownerAccount: string;
  /** What the owner allowed others, from consent. Actions as in the protos ("nivc:AttachInterface"). */
  readonly grants?: readonly ResourceGrant[];
}

export interface ResourceGrant {
  readonly accountId: string;
  readonly action: string;
}

/** The installation as a whole: only operators read it and act on it, and nobody needs to be told that it is not there. */
export const INSTALLATION: ResourceRef = { kind: "installation", id: "", ownerAccount: "" };

/**
 * allow; deny-hidden: the caller may not know that the resource exists (NOT_FOUND); deny-visible: it may see it and not do this
 * (PERMISSION_DENIED).
 */
export type Effect = "allow" | "deny-hidden" | "deny-visible";

export interface Decision {
  readonly effect: Effect;
  /** Name of the rule that decided, for the audit. */
  readonly rule: string;
}

const decided = (effect: Effect, rule: string): Decision => ({ effect, rule });

/** Whether an action only reads: its verb says so. */
export function isRead(action: string): boolean {
  return /:(Get|List|WhoAmI)/.test(action);
}

/** What a viewer may do beside reading: a token that is no stronger than its own. */
const OPEN_TO_VIEWERS: ReadonlySet<string> = new Set(["identity:IssueToken"]);

/** The action that a mere look at a resource is, whatever the kind. */
export const SEE = "any:Get";

/**
 * May `subject` do `action` to `resource`? Default deny. Cedar comes behind this same function (C15); it is pure, so that lists'
 * SQL predicates can be tested equal to it.
 */
export function decide(subject: Subject, action: string, resource: ResourceRef): Decision {
  if (subject.kind === "operator") return decided("allow", "operator");
  if (subject.kind !== "account" || subject.accountId === undefined || subject.accountId === "")
    return decided("deny-hidden", "not-an-account");
  const read = isRead(action);
  const viewer = subject.role !== "owner";
  if (resource.kind === INSTALLATION.kind) return decided("deny-visible", "operators-only");
  if (resource.ownerAccount === subject.accountId) {
    if (read) return decided("allow", viewer ? "viewer" : "owner");
    return viewer && !OPEN_TO_VIEWERS.has(action)
      ? decided("deny-visible", "viewers-only-read")
      : decided("allow", viewer ? "viewer" : "owner");
  }
  const grants = (resource.grants ?? []).filter((grant) => grant.accountId === subject.accountId);
  if (grants.length === 0) return decided("deny-hidden", "not-yours");
  if (read) return decided("allow", "grantees-see");
  if (viewer) return decided("deny-visible", "viewers-only-read");
  return grants.some((grant) => grant.action === action) ? decided("allow", "granted") : decided("deny-visible", "not-granted");
}
