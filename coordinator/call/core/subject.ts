import type { Barred } from "#lib/rpc/barred.ts";
import type { Caller, InstanceSource, Role, TokenTimes } from "#lib/rpc/caller.ts";

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
  /** When its token counts; absent: it showed none. */
  readonly token?: TokenTimes | undefined;
  /** The instance that acts as the principal; absent: the principal itself. */
  readonly via?: InstanceSource | undefined;
}

/** What the rows of the principal and its account say now, whatever its token says. */
export type Standing = Barred | Role;

/**
 * What of a caller's standing stays as it is until the transaction's end: nothing; its rows, beside other writes of the account (shared); or
 * its rows with no other write of the account (alone), for who is going to change such rows.
 */
export type Hold = "none" | "shared" | "alone";

const STRENGTH: Readonly<Record<Role, number>> = { viewer: 1, member: 2, owner: 3, operator: 4 };

const isBarred = (standing: Standing): standing is Barred => !(standing in STRENGTH);

/** The subject with no more than its principal's role, or why it is none. No row (null): the token alone counts. */
export function standingSubject(subject: Subject, standing: Standing | null): Subject | Barred {
  if (standing === null || subject.role === undefined) return subject;
  if (isBarred(standing)) return standing;
  return STRENGTH[standing] < STRENGTH[subject.role] ? { ...subject, role: standing } : subject;
}

/** The coordinator itself, where it acts on nobody's behalf (sweepers, what a host reported). */
export const COORDINATOR: Subject = { kind: "operator", principalId: "coordinator", role: "operator" };

/** Whether a caller may change standings of its own account at all, as policies.cedar has it: others need not hold up anybody to be refused. */
export const mayChangeStandings = ({ role }: Subject): boolean => role === "owner" || role === "operator";

/** A verified caller as a subject. With several roles in one token the strongest counts. */
export function subjectOf(caller: Caller): Subject {
  switch (caller.kind) {
    case "operator":
      return { kind: "operator", principalId: caller.principalId, role: "operator", token: caller.token };
    case "account": {
      const role = (["owner", "member"] as const).find((one) => caller.roles.includes(one)) ?? "viewer";
      const { principalId, accountId, token, via } = caller;
      return { kind: "account", principalId, accountId, role, token, via };
    }
    case "host":
      return { kind: "host", principalId: caller.principalId, hostId: caller.principalId };
    case "anonymous":
      return { kind: "anonymous", principalId: "" };
  }
}
