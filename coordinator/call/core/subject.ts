import type { Caller, Role } from "#lib/rpc/caller.ts";

/** Who acts, as the rules see it. */
export interface Subject {
  readonly kind: "operator" | "account" | "host" | "anonymous";
  /** Who speaks, for the audit. Empty: nobody known. */
  readonly principalId: string;
  /** Set when `kind` is "account". */
  readonly accountId?: string;
  /** Set when `kind` is "operator" or "account". */
  readonly role?: Role;
  /** Set when `kind` is "host". */
  readonly hostId?: string;
  /** The delegation by which it acts, for the audit; absent: in its own right. */
  readonly delegationId?: string;
}

/** What the principal's own row says now, whatever its token says. */
export type Standing = "disabled" | Role;

const STRENGTH: Readonly<Record<Role, number>> = { viewer: 1, member: 2, owner: 3, operator: 4 };

/** The subject with no more than its principal's role. Undefined: the principal is disabled. No row (null): the token alone counts. */
export function standingSubject(subject: Subject, standing: Standing | null): Subject | undefined {
  if (standing === null || subject.role === undefined) return subject;
  if (standing === "disabled") return undefined;
  return STRENGTH[standing] < STRENGTH[subject.role] ? { ...subject, role: standing } : subject;
}

/** The coordinator itself, where it acts on nobody's behalf (sweepers, what a host reported). */
export const COORDINATOR: Subject = { kind: "operator", principalId: "coordinator", role: "operator" };

/** A verified caller as a subject. With several roles in one token the strongest counts. */
export function subjectOf(caller: Caller): Subject {
  switch (caller.kind) {
    case "operator":
      return { kind: "operator", principalId: caller.principalId, role: "operator" };
    case "account": {
      const role = (["owner", "member"] as const).find((one) => caller.roles.includes(one)) ?? "viewer";
      return { kind: "account", principalId: caller.principalId, accountId: caller.accountId, role };
    }
    case "host":
      return { kind: "host", principalId: caller.principalId, hostId: caller.principalId };
    case "anonymous":
      return { kind: "anonymous", principalId: "" };
  }
}
