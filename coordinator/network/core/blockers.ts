import { failedPrecondition } from "#lib/rpc/errors.ts";
import type { PlenumError } from "#lib/rpc/errors.ts";
import type { ResourceRef, Sight } from "../../call/api.ts";
import type { Blocker } from "./model.ts";

/** Ids that an error names at most; the rest is a number. */
const NAMED = 20;

/**
 * The refusal to delete something that others depend on; undefined when none do. Blockers that the caller may not see are counted,
 * not named (C15).
 */
export function refusalOf(resource: ResourceRef, blockers: readonly Blocker[], sight: Pick<Sight, "canSee">): PlenumError | undefined {
  if (blockers.length === 0) return undefined;
  const ids = blockers.filter((blocker) => sight.canSee(blocker)).map((blocker) => blocker.id);
  const named = ids.slice(0, NAMED);
  const more = blockers.length - named.length;
  const list = [...named, ...(more > 0 ? [`${more} more`] : [])].join(", ");
  return failedPrecondition("HAS_DEPENDANTS", `${resource.kind} ${resource.id} is still needed by ${list}; delete or detach that first`, {
    blockers: named.join(","),
    more: String(more),
  });
}
