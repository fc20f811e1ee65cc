import { permissionDenied } from "#lib/rpc/errors.ts";
import type { Subject } from "./subject.ts";

/**
 * Whose resources a list may show by ownership: undefined is everybody's (operators), else the caller's own account. Must say the same
 * as `decide` does of each resource without grants. Whoever is neither owns nothing and lists nothing: PERMISSION_DENIED.
 */
export function visibleAccount(subject: Subject): string | undefined {
  if (subject.kind === "operator") return undefined;
  if (subject.kind === "account" && subject.accountId !== undefined && subject.accountId !== "") return subject.accountId;
  throw permissionDenied("List", `a caller of kind ${subject.kind} has no lists`);
}
