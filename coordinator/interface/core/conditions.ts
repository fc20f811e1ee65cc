import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import type { Condition } from "#gen/plenum/common/v1/common.ts";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Standing } from "./attachment-state.ts";

/** What is known of an attachment beside where it stands. */
export interface Observed extends Standing {
  readonly instanceId: string;
  readonly appliedGeneration: bigint;
  readonly appliedState: number;
  readonly appliedMessage: string;
  readonly appliedTime: Date | undefined;
  /** When the host was last asked for something. */
  readonly changeTime: Date;
  /** It is over by force, and its host has not said so itself. */
  readonly unconfirmed?: boolean;
}

/** How its host does. */
export interface HostFacts {
  readonly hostId: string;
  /** Its session is open and its lease runs (C8). */
  readonly connected: boolean;
  /** Its lease is over: connected or not, nobody can say what it does. A host that connects again within its lease is not silent. */
  readonly silent: boolean;
  readonly lastSeen: Date | undefined;
  /** When its lease ends, or ended; undefined: it never connected. */
  readonly leaseEnd?: Date | undefined;
}

/** How far the hosts of its network are with whatever concerns it. */
export interface ReachFacts {
  /** Connected hosts that watch the network. */
  readonly watching: number;
  /** Those among them that have not applied it. */
  readonly behind: readonly string[];
}

export interface ConditionFacts {
  readonly host: HostFacts | undefined;
  readonly reach: ReachFacts | undefined;
  /** Its end is forced: how far the hosts that are reachable are. */
  readonly force?: ReachFacts | undefined;
  /** The call that asks waited this long in vain, seconds. */
  readonly waitedSeconds?: number | undefined;
}

const { TRUE, FALSE, UNKNOWN } = ConditionStatus;
const MAX_NAMED = 3;

const silentSince = (host: HostFacts): string =>
  host.lastSeen === undefined
    ? `host ${host.hostId} never connected`
    : `host ${host.hostId} has been silent since ${host.lastSeen.toISOString()}`;

/** Its host, where it has one. */
const hostOf = (at: Observed): string => at.hostId ?? ""; // uncovered: only what a host carries or carried is told with its host

const names = (hosts: readonly string[]): string => hosts.slice(0, MAX_NAMED).join(", ") + (hosts.length > MAX_NAMED ? ", …" : "");

interface Fact {
  readonly status: ConditionStatus;
  readonly reason: string;
  readonly message: string;
}

/** Why the host has not done yet what it is asked for; `what` names that, `remedy` what a person can do about a silent host. */
function pending(at: Observed, facts: ConditionFacts, what: string, remedy: string): Fact {
  const { host, waitedSeconds } = facts;
  if (at.appliedGeneration === at.generation && at.appliedState === AppliedState.FAILED) {
    return { status: FALSE, reason: "HostFailed", message: `host ${hostOf(at)} could not and goes on trying: ${at.appliedMessage}` };
  }
  if (host !== undefined && !host.connected)
    return { status: UNKNOWN, reason: "HostDisconnected", message: `${silentSince(host)}; ${remedy}` };
  if (waitedSeconds !== undefined) {
    const message = `after ${waitedSeconds} s host ${hostOf(at)} has not yet said that ${what}; it goes on: read the attachment again`;
    return { status: FALSE, reason: "WaitTimedOut", message };
  }
  return { status: FALSE, reason: "WaitingForHost", message: `host ${hostOf(at)} has not yet said that ${what}` };
}

const mayCarry = (at: Observed): boolean => at.hostId !== null && at.wanted === Wanted.PRESENT;

function programmed(at: Observed, facts: ConditionFacts): Fact {
  if (at.hostId === null) {
    return {
      status: FALSE,
      reason: "NotPlaced",
      message: `instance ${at.instanceId} is not running; it takes effect when the instance is started`,
    };
  }
  if (at.wanted === Wanted.ABSENT) return { status: FALSE, reason: "InstanceStopping", message: `instance ${at.instanceId} is stopping` };
  if (at.appliedGeneration !== at.generation || at.appliedState !== AppliedState.PRESENT) {
    return pending(at, facts, "it carries this", "it applies this when it is back, or stop and start the instance once it is");
  }
  if (facts.host !== undefined && !facts.host.connected) {
    return {
      status: UNKNOWN,
      reason: "HostDisconnected",
      message: `the host applied this, but ${silentSince(facts.host)}; it goes on forwarding what it knows`,
    };
  }
  return { status: TRUE, reason: "Applied", message: "" };
}

function reachable(hostHasIt: boolean, facts: ConditionFacts): Fact {
  if (!hostHasIt) return { status: FALSE, reason: "NotProgrammed", message: "its own host has not applied it yet" };
  const { reach } = facts;
  if (reach === undefined) return { status: UNKNOWN, reason: "NotObserved", message: "" };
  if (reach.behind.length === 0) return { status: TRUE, reason: "AllHostsApplied", message: "" };
  const waited = facts.waitedSeconds === undefined ? "" : `after ${facts.waitedSeconds} s `;
  const message = `${waited}${reach.behind.length} of ${reach.watching} connected hosts of the network have not applied it: ${names(reach.behind)}`;
  return { status: FALSE, reason: facts.waitedSeconds === undefined ? "HostsBehind" : "WaitTimedOut", message };
}

/** Its host is silent, and the others are to refuse that host's packets instead (C7). */
function forced(host: HostFacts, { watching, behind }: ReachFacts, waitedSeconds: number | undefined): Fact {
  const whom =
    behind.length === 0
      ? "every other one refuses its packets, and the attachment ends"
      : `${behind.length} of ${watching} reachable hosts of the network have not yet said that they refuse its packets: ${names(behind)}`;
  const waited = waitedSeconds === undefined ? "" : `after ${waitedSeconds} s `;
  return {
    status: FALSE,
    reason: waitedSeconds === undefined ? "WaitingForOtherHosts" : "WaitTimedOut",
    message: `${silentSince(host)} and its end is forced; ${waited}${whom}`,
  };
}

function detached(at: Observed, facts: ConditionFacts): Fact {
  if (at.state === AttachmentState.DETACHED && at.unconfirmed === true) {
    const message = `host ${hostOf(at)} has not said itself that traffic stopped; every other one refuses its packets`;
    return { status: TRUE, reason: "Forced", message };
  }
  if (at.state === AttachmentState.DETACHED) return { status: TRUE, reason: "Applied", message: "" };
  if (facts.force !== undefined && facts.host?.silent === true) return forced(facts.host, facts.force, facts.waitedSeconds);
  // C7: it forwards without us, so only its own word ends the attachment.
  return pending(
    at,
    facts,
    "traffic stopped",
    "it may still forward: the detach ends when it is back and says that traffic stopped; until then its addresses stay taken; force ends it without that host",
  );
}

/** The facts beside an attachment's state: "Programmed" and "Reachable" while it lasts, "Detached" once its end was asked for. */
export function attachmentConditions(at: Observed, facts: ConditionFacts): Condition[] {
  const condition = (type: string, fact: Fact): Condition => ({
    type,
    ...fact,
    observedGeneration: at.appliedGeneration,
    lastTransitionTime: at.appliedTime !== undefined && at.appliedTime > at.changeTime ? at.appliedTime : at.changeTime,
  });
  if (at.state === AttachmentState.DETACHING || at.state === AttachmentState.DETACHED) return [condition("Detached", detached(at, facts))];
  const own = programmed(at, facts);
  // A host that fell silent after it applied this goes on forwarding: what is asked here is whether the others know.
  const hostHasIt = mayCarry(at) && at.appliedGeneration === at.generation && at.appliedState === AppliedState.PRESENT;
  return [condition("Programmed", own), condition("Reachable", reachable(hostHasIt, facts))];
}
