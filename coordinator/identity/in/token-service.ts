import { TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import type { IssueTokenRequest } from "#gen/plenum/identity/v1/token.ts";
import type { TokenIssuer } from "#lib/auth/token.ts";
import { parseId } from "#lib/ids/ids.ts";
import type { Role } from "#lib/rpc/caller.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import { failedPrecondition, invalidArgument, unauthenticated } from "#lib/rpc/errors.ts";
import { displayName } from "#lib/rpc/validate.ts";
import { durationMs, INSTALLATION } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import { mayIssue } from "../core/token-role.ts";
import { accountRef, requireAccount } from "../out/accounts.ts";
import { ensurePrincipal } from "../out/principals.ts";
import { ROLE_NUMBERS, roleField } from "./roles.ts";

const DAY_MS = 86_400_000;
const TTL = { minMs: 60_000, maxMs: 90 * DAY_MS, absentMs: DAY_MS };

function decode(request: IssueTokenRequest): { accountId: string; principalId: string; role: Role; ttlSeconds: number } {
  const role = roleField(request.role, "role");
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
        // Lists name members: who speaks as another has that one's rights.
        if (call.subject.role === "member" && principalId !== call.subject.principalId)
          call.forbid(context.action, about, "in-its-own-name");
        // Who is named for the first time is a principal from now on, with the most that its account's principals are.
        const most = role === "operator" ? role : "owner";
        const created = { accountId, principalId, role: most, description: "", createdBy: call.subject.principalId } as const;
        const principal = await ensurePrincipal(call.tx, created);
        if (principal.disableTime !== null) {
          throw failedPrecondition("PRINCIPAL_DISABLED", `${principalId} was disabled: no token is issued for it`, {
            principal_id: principalId,
          });
        }
        if (!mayIssue(principal.role, role)) call.forbid(context.action, about, "no-more-than-the-principal");
      });
      // Issued after the commit: a token whose issue the audit does not know must not exist.
      const { token, expiresAt } = await tokens.issue({ principalId, accountId, roles: [role], ttlSeconds });
      return { token, expireTime: expiresAt };
    },

    whoAmI(_request, context) {
      return calls.read(context, context.action, ({ subject: { kind, accountId = "", principalId, role } }) => {
        if (role === undefined) return Promise.reject(unauthenticated(`this is for bearers of tokens, not for a caller of kind ${kind}`));
        return Promise.resolve({ accountId, principalId, role: ROLE_NUMBERS[role] });
      });
    },
  });
}
