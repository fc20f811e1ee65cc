import type { ReadCall } from "../../call/api.ts";
import { resourcesGrantedTo } from "../../consent/api.ts";

/**
 * What the caller may see, for the SQL of lists: everything (operator), or its own and what others granted it. Equal to
 * `decide(…, SEE, …)` on each row.
 */
export async function visibleTo(call: ReadCall): Promise<{ readonly accountId: string; readonly granted: readonly string[] } | undefined> {
  if (call.subject.kind === "operator") return undefined;
  const accountId = call.subject.accountId ?? "";
  return { accountId, granted: await resourcesGrantedTo(call.tx, { accountId, principalId: call.subject.principalId }, "interface") };
}
