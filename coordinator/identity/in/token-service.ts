import { Role as RoleNumber, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import type { IssueTokenRequest } from "#gen/plenum/identity/v1/token.ts";
import type { TokenIssuer } from "#lib/auth/token.ts";
import { parseId } from "#lib/ids/ids.ts";
import type { Role } from "#lib/rpc/caller.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument, unauthenticated } from "#lib/rpc/errors.ts";
import { displayName, enumValue } from "#lib/rpc/validate.ts";
import { durationMs, INSTALLATION, subjectOf } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import { mayIssue } from "../core/token-role.ts";
import { accountRef, requireAccount } from "../out/accounts.ts";

const DAY_MS = 86_400_000;
const TTL = { minMs: 60_000, maxMs: 90 * DAY_MS, absentMs: DAY_MS };

const ROLES: Readonly<Record<Exclude<RoleNumber, typeof RoleNumber.UNSPECIFIED>, Role>> = {
  [RoleNumber.OPERATOR]: "operator",
  [RoleNumber.OWNER]: "owner",
  [RoleNumber.VIEWER]: "viewer",
};
const ROLE_NUMBERS: Readonly<Record<Role, RoleNumber>> = {
  operator: RoleNumber.OPERATOR,
  owner: RoleNumber.OWNER,
  viewer: RoleNumber.VIEWER,
};

function decode(request: IssueTokenRequest): { accountId: string; principalId: string; role: Role; ttlSeconds: number } {
  const role = request.role === RoleNumber.UNSPECIFIED ? "owner" : ROLES[enumValue(request.role, RoleNumber, "role") as keyof typeof ROLES];
  if (role === "operator" && request.accountId !== "") {
    throw invalidArgument("account_id", "is set together with ROLE_OPERATOR", "an operator speaks for no account: leave it empty");
  }
  const accountId = role === "operator" ? "" : parseId("acct", request.accountId, "account_id");
  const principalId = displayName(request.principalId, "principal_id", { min: 1, max: 128 });
  return { accountId, principalId, role, ttlSeconds: Math.floor(durationMs(request.ttl, "ttl", TTL) / 1_000) };
}

export function tokenService({ calls, tokens }: { calls: Calls; tokens: TokenIssuer }): ServiceBinding {
  return bind(TokenServiceDefinition, {
    async issueToken(request, context) {
      const { accountId, principalId, role, ttlSeconds } = decode(request);
      await calls.write(context, { action: context.action }, async (call) => {
        const about = role === "operator" ? INSTALLATION : accountRef(accountId);
        call.require(context.action, about);
        if (role !== "operator") await requireAccount(call.tx, accountId);
        if (!mayIssue(call.subject.role, role)) call.forbid(context.action, about, "a-role-never-rises");
      });
      // Issued after the commit: a token whose issue the audit does not know must not exist.
      const { token, expiresAt } = await tokens.issue({ principalId, accountId, roles: [role], ttlSeconds });
      return { token, expireTime: expiresAt };
    },

    whoAmI(_request, context) {
      const { kind, accountId = "", principalId, role } = subjectOf(context.caller);
      if (role === undefined) return Promise.reject(unauthenticated(`this is for bearers of tokens, not for a caller of kind ${kind}`));
      return Promise.resolve({ accountId, principalId, role: ROLE_NUMBERS[role] });
    },
  });
}
