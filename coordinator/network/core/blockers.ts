import { failedPrecondition } from "#lib/rpc/errors.ts";
import type { PlenumError } from "#lib/rpc/errors.ts";
import type { ResourceRef, Sight } from "../../call/api.ts";
import type { Blockers } from "./model.ts";

/** Blockers that an error names at most; the rest is a number. */
export const NAMED_BLOCKERS = 20;

/**
 * The refusal to delete something that others depend on, with what to do about each; undefined when none do (N14). Blockers that the caller
 * may not see are counted, not named (C15).
 */
export function refusalOf(resource: ResourceRef, blockers: Blockers, sight: Pick<Sight, "canSee">): PlenumError | undefined {
  const count = blockers.named.length + blockers.more;
  if (count === 0) return undefined;
  const named = blockers.named.filter((blocker) => sight.canSee(blocker)).slice(0, NAMED_BLOCKERS);
  const more = count - named.length;
  // A message has room for twenty ids, not for twenty remedies.
  const byRemedy = [...Map.groupBy(named, (blocker) => blocker.remedy)];
  const each = byRemedy.map(([remedy, these]) => `${these.map((blocker) => blocker.id).join(", ")} (${remedy})`);
  const list = [...each, ...(more > 0 ? [`${more} more`] : [])].join("; ");
  return failedPrecondition("HAS_DEPENDANTS", `${resource.kind} ${resource.id} is still needed by ${list}`, {
    blockers: named.map((blocker) => blocker.id).join(","),
    more: String(more),
  });
}

/** What several know of, together. */
export function allBlockers(parts: readonly Blockers[]): Blockers {
  return { named: parts.flatMap(({ named }) => named), more: parts.reduce((sum, { more }) => sum + more, 0) };
}
