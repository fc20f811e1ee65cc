import { TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import type { IssueTokenRequest } from "#gen/plenum/identity/v1/token.ts";
import type { TokenIssuer } from "#lib/auth/token.ts";
import { parseId } from "#lib/ids/ids.ts";
import type { Role } from "#lib/rpc/caller.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import { failedPrecondition, invalidArgument, unauthenticated } from "#lib/rpc/errors.ts";
import { displayName } from "#lib/rpc/name.ts";
import { durationMs, INSTALLATION } from "../../call/api.ts";
import type { Calls } from "../../call/api.ts";
import { principalDisabled } from "../actor.ts";
import { LEAST_TTL_S, lifetime, mayIssue } from "../core/token-role.ts";
import { requireAccount } from "../out/accounts.ts";
import { ensurePrincipal, principalRef } from "../out/principals.ts";
import { ROLE_NUMBERS, roleField } from "./roles.ts";

const DAY_MS = 86_400_000;
const TTL = { minMs: LEAST_TTL_S * 1_000, maxMs: 90 * DAY_MS, absentMs: DAY_MS };

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
      const key = { accountId, principalId };
      const { result } = await calls.write(context, { action: context.action }, async (call) => {
        const { subject, now } = call;
        const about = role === "operator" ? INSTALLATION : principalRef(key);
        call.note("role", role);
        call.require(context.action, about);
        call.concerns(principalRef(key));
        if (role !== "operator") await requireAccount(call.tx, accountId);
        if (!mayIssue(subject.role, role)) call.forbid(context.action, about, "a-role-never-rises");
        // Who is named for the first time is a principal from now on: with the role asked for, or what it is already, if it asks itself.
        const itself = subject.principalId === principalId && (subject.accountId ?? "") === accountId;
        const most = itself && subject.role !== undefined ? subject.role : role;
        const principal = await ensurePrincipal(call.tx, { ...key, role: most, description: "", createdBy: subject.principalId });
        if (principal.disableTime !== null) throw principalDisabled(principalId);
        if (!mayIssue(principal.role, role)) call.forbid(context.action, about, "no-more-than-the-principal");
        const ttl = lifetime(ttlSeconds, { role: subject.role, until: subject.token?.expiresAt }, now);
        if (ttl < LEAST_TTL_S) {
          const state = `your own token ends in ${ttl} s, and one that you issue ends no later: ask an owner for a new one`;
          throw failedPrecondition("WRONG_STATE", state, { state: "token ends" });
        }
        call.note("ttl_s", String(ttl));
        // By the database's clock, as revocations are.
        return { ttl, issuedAt: now };
      });
      // Issued after the commit: a token whose issue the audit does not know must not exist.
      const { ttl, issuedAt } = result;
      const { token, expiresAt } = await tokens.issue({ principalId, accountId, roles: [role], ttlSeconds: ttl, issuedAt });
      return { token, expireTime: expiresAt };
    },

    whoAmI(_request, context) {
      return calls.read(context, context.action, ({ subject: { kind, accountId = "", principalId, role, via } }) => {
        if (role === undefined) return Promise.reject(unauthenticated(`this is for bearers of tokens, not for a caller of kind ${kind}`));
        return Promise.resolve({ accountId, principalId, role: ROLE_NUMBERS[role], instanceId: via?.instanceId ?? "" });
      });
    },
  });
}
