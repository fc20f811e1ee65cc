import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { Condition } from "#gen/plenum/common/v1/common.ts";
import { AppliedState } from "#gen/plenum/host/v1/host_feed.ts";
import { InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Attachment } from "#gen/plenum/nivc/v1/interface.ts";

/** What of an attachment says whether its host is in trouble with it. */
export interface Troubled {
  readonly host_id: string | null;
  readonly generation: bigint;
  readonly applied_generation: bigint;
  readonly applied_state: number;
}

/** Its host could not, and goes on trying; or it is silent. `inState` of out/interface-store says the same in SQL. */
export function inTrouble(at: Troubled, hostSilent: boolean): boolean {
  if (at.host_id === null) return false;
  return hostSilent || (at.applied_generation === at.generation && at.applied_state === AppliedState.FAILED);
}

/** A record's state, of its switch and its attachments. */
export function recordState(disabled: boolean, attachments: readonly { readonly troubled: boolean }[]): InterfaceState {
  if (disabled) return InterfaceState.DISABLED;
  if (attachments.length === 0) return InterfaceState.AVAILABLE;
  return attachments.some((one) => one.troubled) ? InterfaceState.IN_REPAIR : InterfaceState.IN_USE;
}

/** The conditions of its attachments in one. */
export function recordConditions(attachments: readonly Pick<Attachment, "attachmentId" | "conditions">[]): Condition[] {
  const all = attachments.flatMap(({ attachmentId, conditions }) => conditions.map((condition) => ({ attachmentId, condition })));
  const bad = all.find(({ condition }) => condition.status !== ConditionStatus.TRUE);
  const [first] = all;
  if (bad !== undefined) {
    const { attachmentId, condition } = bad;
    return [{ ...condition, type: "Carried", message: `${attachmentId}: ${condition.message}` }];
  }
  if (first === undefined) return [];
  return [{ ...first.condition, type: "Carried", reason: "AttachmentsApplied", message: "" }];
}
