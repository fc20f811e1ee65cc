import { failedPrecondition, notFound } from "#lib/rpc/errors.ts";
import type { WriteCall } from "../call/api.ts";
import { mayIssue } from "./core/token-role.ts";
import { getPrincipal, principalRef } from "./out/principals.ts";
import type { PrincipalKey } from "./out/principals.ts";

/** FAILED_PRECONDITION: no token is issued for it. */
export const principalDisabled = (principalId: string): Error =>
  failedPrecondition("PRINCIPAL_DISABLED", `${principalId} was disabled: no token is issued for it`, { principal_id: principalId });

/**
 * Let something act as a principal that there is: for who may issue that principal's tokens, and of no higher role than the caller's. NOT_FOUND,
 * PERMISSION_DENIED, FAILED_PRECONDITION (PRINCIPAL_DISABLED).
 */
export async function requireActor(call: WriteCall, key: PrincipalKey): Promise<void> {
  const ref = principalRef(key);
  const action = "identity:IssueToken";
  call.note("acts_as", key.principalId);
  call.require(action, ref);
  const principal = await getPrincipal(call.tx, key.accountId, key.principalId);
  if (principal === undefined) throw notFound("principal", key.principalId);
  if (principal.disableTime !== null) throw principalDisabled(key.principalId);
  if (!mayIssue(call.subject.role, principal.role)) call.forbid(action, ref, "a-role-never-rises");
}
