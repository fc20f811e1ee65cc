import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { Condition } from "#gen/plenum/common/v1/common.ts";
import type { SecurityGroup } from "./model.ts";

/** How far hosts are with the attachments of one group set that has the group. */
export interface SetStanding {
  readonly carried: number;
  readonly behind: number;
  readonly since: Date;
}

/**
 * "Applied": whether every attachment that carries the group goes by its rules as they are now (N13). Attachments are counted, hosts are
 * not named: those are the operator's. `waitedSeconds`: the call that asks waited this long in vain, if something is behind.
 */
export function appliedCondition(group: SecurityGroup, sets: readonly SetStanding[], waitedSeconds?: number): Condition {
  const behind = sets.reduce((sum, set) => sum + set.behind, 0);
  const carried = sets.reduce((sum, set) => sum + set.carried, 0);
  const since = sets.reduce((latest, set) => (set.since > latest ? set.since : latest), group.createTime);
  const common = { type: "Applied", observedGeneration: group.version, lastTransitionTime: since };
  if (behind === 0) return { ...common, status: ConditionStatus.TRUE, reason: "Applied", message: "" };
  const waited = waitedSeconds === undefined ? "" : `after ${waitedSeconds} s `;
  const verb = behind === 1 ? "goes" : "go";
  const message = `${waited}the hosts of ${behind} of ${carried} attachments have not said that ${behind === 1 ? "it" : "they"} ${verb} by what was asked for last: former rules may still be in force there; it goes on: read the group again`;
  return { ...common, status: ConditionStatus.FALSE, reason: waitedSeconds === undefined ? "AttachmentsBehind" : "WaitTimedOut", message };
}
