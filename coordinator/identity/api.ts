import type { TokenIssuer } from "#lib/auth/token.ts";
import type { Bus } from "#lib/bus/bus.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import type { Calls } from "../call/api.ts";
import { accountService } from "./in/account-service.ts";
import type { StandingChanged } from "./in/account-service.ts";
import { auditService } from "./in/audit-service.ts";
import { operationService } from "./in/operation-service.ts";
import { principalService } from "./in/principal-service.ts";
import { quotaService } from "./in/quota-service.ts";
import { tokenService } from "./in/token-service.ts";
import { createOperations } from "./out/operations.ts";
import type { Operations } from "./out/operations.ts";

export { principalDisabled, requireActor } from "./actor.ts";
export { QUOTAS } from "./core/quota.ts";
export type { QuotaName } from "./core/quota.ts";
export { identityMigrations } from "./migrations.ts";
export { accountRef, existingAccounts, holdUnsuspended, isSuspended, requireAccount } from "./out/accounts.ts";
export type { Account } from "./out/accounts.ts";
export { operationMessage } from "./in/operation-message.ts";
export { getOperation } from "./out/operations.ts";
export type { Operation, Operations, OperationStateName } from "./out/operations.ts";
export { principalRef, principalStanding } from "./out/principals.ts";
export { countPart, countUse, requireRoom, writeQuotaDefaults } from "./out/quotas.ts";
export { Wake } from "./out/wake.ts";

export interface IdentityModule {
  /** AccountService, PrincipalService, TokenService, AuditService, OperationService, QuotaService: for the API listener. */
  readonly bindings: readonly ServiceBinding[];
  /** Long work, for the modules that do it. */
  readonly operations: Operations;
}

export function createIdentity(options: {
  calls: Calls;
  pages: PageTokens;
  tokens: TokenIssuer;
  bus: Bus;
  /** To be told with an account that is suspended or resumed: what it gave to others counts no more, or again. */
  standingChanged: StandingChanged;
}): IdentityModule {
  return {
    bindings: [
      accountService(options),
      principalService(options),
      tokenService(options),
      auditService(options),
      operationService(options),
      quotaService(options),
    ],
    operations: createOperations(options.bus),
  };
}
