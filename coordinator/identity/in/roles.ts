import { Role as RoleNumber } from "#gen/plenum/identity/v1/token.ts";
import type { Role } from "#lib/rpc/caller.ts";
import { enumValue } from "#lib/rpc/validate.ts";

const ROLES: Readonly<Record<Exclude<RoleNumber, typeof RoleNumber.UNSPECIFIED>, Role>> = {
  [RoleNumber.OPERATOR]: "operator",
  [RoleNumber.OWNER]: "owner",
  [RoleNumber.MEMBER]: "member",
  [RoleNumber.VIEWER]: "viewer",
};

/** Roles as in the proto. */
export const ROLE_NUMBERS: Readonly<Record<Role, RoleNumber>> = {
  operator: RoleNumber.OPERATOR,
  owner: RoleNumber.OWNER,
  member: RoleNumber.MEMBER,
  viewer: RoleNumber.VIEWER,
};

/** A role that was sent; none is an owner's. INVALID_ARGUMENT. */
export function roleField(value: number, field: string): Role {
  return value === RoleNumber.UNSPECIFIED ? "owner" : ROLES[enumValue(value, RoleNumber, field) as keyof typeof ROLES];
}
