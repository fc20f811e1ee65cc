import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { Condition } from "#gen/plenum/common/v1/common.ts";

/** What is known of a host. */
export interface HostObserved {
  readonly connected: boolean;
  readonly sessionEpoch: bigint;
  readonly lastSeen: Date | null;
  readonly createTime: Date;
  /** As it said last; null: nothing. */
  readonly deviceReady: boolean | null;
  readonly tunnelReady: boolean | null;
  readonly substrateMessage: string;
  readonly substrateTime: Date | null;
  /** Since when, and why, it is barred; null: it is not. */
  readonly barTime: Date | null;
  readonly barReason: string;
}

const { TRUE, FALSE, UNKNOWN } = ConditionStatus;
type Fact = Pick<Condition, "status" | "reason" | "message">;

function connected(at: HostObserved): Fact {
  if (at.connected) return { status: TRUE, reason: "SessionOpen", message: "" };
  const since = at.lastSeen === null ? "it never connected" : `silent since ${at.lastSeen.toISOString()}`;
  if (at.barTime !== null) return { status: FALSE, reason: "HostBarred", message: `${since}; it goes on forwarding what it knows` };
  return { status: FALSE, reason: "HostDisconnected", message: `${since}; it goes on forwarding what it knows: start its agent` };
}

/** What it said in an older session, or before it fell silent, says nothing of now. */
function substrateReady(at: HostObserved): Fact {
  if (!at.connected) return { status: UNKNOWN, reason: "HostDisconnected", message: "" };
  if (at.deviceReady === null || at.tunnelReady === null)
    return { status: UNKNOWN, reason: "NotReported", message: "its agent is of a version that does not say" };
  if (!at.deviceReady) return { status: FALSE, reason: "SubstrateDown", message: at.substrateMessage };
  if (!at.tunnelReady) return { status: FALSE, reason: "TunnelDown", message: at.substrateMessage };
  return { status: TRUE, reason: "Ready", message: "" };
}

/** "Barred", where it is, "Connected" and "SubstrateReady", for operators. */
export function hostConditions(at: HostObserved): Condition[] {
  const seen = at.lastSeen ?? at.createTime;
  const barred: Condition[] =
    at.barTime === null
      ? []
      : [
          {
            ...{ type: "Barred", status: TRUE, reason: "BarredByOperator", message: at.barReason },
            observedGeneration: at.sessionEpoch,
            lastTransitionTime: at.barTime,
          },
        ];
  return [
    ...barred,
    { type: "Connected", ...connected(at), observedGeneration: at.sessionEpoch, lastTransitionTime: seen },
    {
      type: "SubstrateReady",
      ...substrateReady(at),
      observedGeneration: at.sessionEpoch,
      lastTransitionTime: (at.connected ? at.substrateTime : at.lastSeen) ?? seen,
    },
  ];
}
