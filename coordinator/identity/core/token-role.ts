import type { Role } from "#lib/rpc/caller.ts";

const STRENGTH: Readonly<Record<Role, number>> = { viewer: 1, member: 2, owner: 3, operator: 4 };

/** Whether a bearer of `own` may have a token of `wanted` issued: a role never rises. */
export function mayIssue(own: Role | undefined, wanted: Role): boolean {
  return own !== undefined && STRENGTH[wanted] <= STRENGTH[own];
}

/** Seconds that a token lives at least. */
export const LEAST_TTL_S = 60;

/**
 * Whole seconds that a token issued now lives. Whoever may issue for others (an owner, an operator) may issue for as long as asked;
 * everybody else speaks for itself alone, and what it was given for a time must not become for ever: its own token's end is the new one's at the latest.
 */
export function lifetime(asked: number, issuer: { role: Role | undefined; until: Date | undefined }, now: Date): number {
  if (issuer.role === "owner" || issuer.role === "operator") return asked;
  const left = Math.floor(((issuer.until?.getTime() ?? 0) - now.getTime()) / 1_000);
  return Math.max(0, Math.min(asked, left));
}
