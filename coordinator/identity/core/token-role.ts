import type { Role } from "#lib/rpc/caller.ts";

const STRENGTH: Readonly<Record<Role, number>> = { viewer: 1, member: 2, owner: 3, operator: 4 };

/** Whether a bearer of `own` may have a token of `wanted` issued: a role never rises. */
export function mayIssue(own: Role | undefined, wanted: Role): boolean {
  return own !== undefined && STRENGTH[wanted] <= STRENGTH[own];
}
