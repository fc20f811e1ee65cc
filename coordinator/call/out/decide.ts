import { classKey, classOf, decideClass } from "../core/decide.ts";
import type { Decision, Judge, ResourceRef } from "../core/decide.ts";
import type { Subject } from "../core/subject.ts";
import { judgeByPolicies } from "./policies.ts";

/** Decisions kept at most; a class has well under a kilobyte. */
const KEPT = 8_192;

/** May `subject` do `action` to `resource`? Default deny. */
export type Decide = (subject: Subject, action: string, resource: ResourceRef) => Decision;

/**
 * A judge that is asked once a class. A class holds everything that policies read, and rows are read by each call in its own
 * transaction, so that an answer never gets old: the same question has the same answer while the policies are the same.
 */
export function createDecide(judge: Judge, kept = KEPT): Decide {
  const known = new Map<string, Decision>();
  return (subject, action, resource) => {
    const of = classOf(subject, action, resource);
    const key = classKey(of);
    const before = known.get(key);
    if (before !== undefined) return before;
    const decision = decideClass(judge, of);
    if (known.size >= kept) known.clear();
    known.set(key, decision);
    return decision;
  };
}

/** The policies' word, kept for the process. */
export const decide: Decide = createDecide(judgeByPolicies);
