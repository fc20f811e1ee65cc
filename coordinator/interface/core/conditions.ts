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
  /** Hosts that it was forced off and that have not said themselves that they let go. */
  readonly unconfirmed?: readonly string[];
}

/** How its host does. */
export interface HostFacts {
  readonly hostId: string;
  /** Its session is open and its lease runs (C8). */
  readonly connected: boolean;
  /** Its lease is over: connected or not, nobody can say what it does. A host that connects again within its lease is not silent. */
  readonly silent: boolean;
  /** An operator barred it: nothing is told to it and nothing taken from it. It is silent, too. */
  readonly barred?: boolean;
  readonly lastSeen: Date | undefined;
  /** When its lease ends, or ended; undefined: it never connected. */
  readonly leaseEnd?: Date | undefined;
  /** It is connected and says that its substrate or its tunnel carries nothing. */
  readonly cutOff?: boolean;
}

/** How far the hosts of its network are with whatever concerns it. */
export interface ReachFacts {
  /** Connected hosts that watch the network. */
  readonly watching: number;
  /** Those among them that have not applied it. */
  readonly behind: readonly string[];
}

/** Which hosts the reader may know by their ids: hosts are the operator's; the owner of an instance knows where it is. */
export type HostSight = "all" | "own" | "none";

export interface ConditionFacts {
  readonly sight: HostSight;
  readonly host: HostFacts | undefined;
  readonly reach: ReachFacts | undefined;
  /** Its end is forced: how far the reachable hosts are. */
  readonly force?: ReachFacts | undefined;
  /** The call that asks waited this long in vain, seconds. */
  readonly waitedSeconds?: number | undefined;
}

const { TRUE, FALSE, UNKNOWN } = ConditionStatus;
const MAX_NAMED = 3;

/** The host that it is on, as the reader may know it. */
// uncovered: only of what a host carries or carried is told with its host
const ownHost = (at: Observed, { sight }: ConditionFacts): string => (sight === "none" ? "its host" : `host ${at.hostId ?? ""}`);

const silentSince = (at: Observed, facts: ConditionFacts): string => {
  const own = ownHost(at, facts);
  const lastSeen = facts.host?.lastSeen;
  return lastSeen === undefined ? `${own} never connected` : `${own} has been silent since ${lastSeen.toISOString()}`;
};

/** Other hosts, after their number: who may not know them has that alone. */
function names(hosts: readonly string[], { sight }: ConditionFacts): string {
  if (sight !== "all") return "";
  return `: ${hosts.slice(0, MAX_NAMED).join(", ")}${hosts.length > MAX_NAMED ? ", …" : ""}`;
}

interface Fact {
  readonly status: ConditionStatus;
  readonly reason: string;
  readonly message: string;
}

/** Whatever it applied once, or could not: nothing of it is to be believed. `after`: what that means here. */
const barred = (at: Observed, facts: ConditionFacts, after: string): Fact => ({
  status: UNKNOWN,
  reason: "HostBarred",
  message: `${ownHost(at, facts)} was barred by an operator: ${after}`,
});

/** Why the host has not done yet what it is asked for; `what` names that, `remedy` what a person can do about a silent host. */
function pending(at: Observed, facts: ConditionFacts, what: string, remedy: string): Fact {
  const { host, waitedSeconds } = facts;
  if (host?.barred === true) return barred(at, facts, `nobody tells it, nor believes that ${what}; ${remedy}`);
  if (at.appliedGeneration === at.generation && at.appliedState === AppliedState.FAILED) {
    return { status: FALSE, reason: "HostFailed", message: `${ownHost(at, facts)} could not and goes on trying: ${at.appliedMessage}` };
  }
  if (host !== undefined && !host.connected)
    return { status: UNKNOWN, reason: "HostDisconnected", message: `${silentSince(at, facts)}; ${remedy}` };
  if (waitedSeconds !== undefined) {
    const message = `after ${waitedSeconds} s ${ownHost(at, facts)} has not yet said that ${what}; it goes on: read the attachment again`;
    return { status: FALSE, reason: "WaitTimedOut", message };
  }
  return { status: FALSE, reason: "WaitingForHost", message: `${ownHost(at, facts)} has not yet said that ${what}` };
}

const mayCarry = (at: Observed): boolean => at.hostId !== null && at.wanted === Wanted.PRESENT;

/** What a person can do where the host does not say that it carries this. */
const notYet = ({ host }: ConditionFacts): string =>
  host?.barred === true
    ? "detach it with force and attach it elsewhere, or stop the instance with force and start it"
    : "it applies this when it is back, or stop and start the instance once it is";

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
    return pending(at, facts, "it carries this", notYet(facts));
  }
  if (facts.host?.barred === true) return barred(at, facts, `it applied this before, and may forward what it knew; ${notYet(facts)}`);
  if (facts.host !== undefined && !facts.host.connected) {
    return {
      status: UNKNOWN,
      reason: "HostDisconnected",
      message: `the host applied this, but ${silentSince(at, facts)}; it goes on forwarding what it knows`,
    };
  }
  if (facts.host?.cutOff === true) return substrateDown(facts);
  return { status: TRUE, reason: "Applied", message: "" };
}

/** For tenants too: which host it is, and what is wrong there, is the operator's to know. */
function substrateDown({ waitedSeconds }: ConditionFacts): Fact {
  const still = waitedSeconds === undefined ? "" : `, still after ${waitedSeconds} s`;
  const message = `its host applied this, but says that it cannot carry packets to other hosts now${still}; it goes on by itself once it can`;
  return { status: FALSE, reason: "SubstrateDown", message };
}

function reachable(hostHasIt: boolean, facts: ConditionFacts): Fact {
  if (!hostHasIt) return { status: FALSE, reason: "NotProgrammed", message: "its own host has not applied it yet" };
  if (facts.host?.cutOff === true) return substrateDown(facts);
  const { reach } = facts;
  if (reach === undefined) return { status: UNKNOWN, reason: "NotObserved", message: "" };
  if (reach.behind.length === 0) return { status: TRUE, reason: "AllHostsApplied", message: "" };
  const waited = facts.waitedSeconds === undefined ? "" : `after ${facts.waitedSeconds} s `;
  const message = `${waited}${reach.behind.length} of ${reach.watching} connected hosts of the network have not applied it${names(reach.behind, facts)}`;
  return { status: FALSE, reason: facts.waitedSeconds === undefined ? "HostsBehind" : "WaitTimedOut", message };
}

/** Its host is silent, and the others are to refuse that host's packets instead (C7). */
function forced(at: Observed, { watching, behind }: ReachFacts, facts: ConditionFacts): Fact {
  const { waitedSeconds } = facts;
  const whom =
    behind.length === 0
      ? "every other one refuses its packets, and the attachment ends"
      : `${behind.length} of ${watching} reachable hosts of the network have not yet said that they refuse its packets${names(behind, facts)}`;
  const waited = waitedSeconds === undefined ? "" : `after ${waitedSeconds} s `;
  return {
    status: FALSE,
    reason: waitedSeconds === undefined ? "WaitingForOtherHosts" : "WaitTimedOut",
    message: `${silentSince(at, facts)} and its end is forced; ${waited}${whom}`,
  };
}

/** What was ended without the word of these hosts. */
function unconfirmed(hosts: readonly string[], facts: ConditionFacts): string {
  const [whom, verb, whose] = hosts.length === 1 ? ["1 host", "has", "its"] : [`${hosts.length} hosts`, "have", "their"];
  return `${whom} that it was on ${verb} not said that traffic stopped there, and every other one refuses ${whose} packets${names(hosts, facts)}`;
}

function detached(at: Observed, facts: ConditionFacts): Fact {
  const left = at.unconfirmed ?? [];
  if (at.state === AttachmentState.DETACHED && left.length > 0)
    return { status: TRUE, reason: "Forced", message: unconfirmed(left, facts) };
  if (at.state === AttachmentState.DETACHED && at.hostId !== null && facts.host === undefined && at.appliedState !== AppliedState.ABSENT)
    return { status: TRUE, reason: "HostDeleted", message: "its host was deleted and never said so; every other one refuses its packets" };
  if (at.state === AttachmentState.DETACHED) return { status: TRUE, reason: "Applied", message: "" };
  if (facts.force !== undefined && facts.host?.silent === true) return forced(at, facts.force, facts);
  // C7: it forwards without us, so only its own word ends the attachment.
  return pending(
    at,
    facts,
    "traffic stopped",
    "it may still forward: the detach ends when it is back and says that traffic stopped; until then its addresses stay taken; force ends it without that host",
  );
}

/**
 * The facts beside an attachment's state: "Programmed" and "Reachable" while it lasts, "Detached" once its end was asked for; "Departed"
 * while a host that it was forced off has not said that it let go.
 */
export function attachmentConditions(at: Observed, facts: ConditionFacts): Condition[] {
  const condition = (type: string, fact: Fact): Condition => ({
    type,
    ...fact,
    observedGeneration: at.appliedGeneration,
    lastTransitionTime: at.appliedTime !== undefined && at.appliedTime > at.changeTime ? at.appliedTime : at.changeTime,
  });
  if (at.state === AttachmentState.DETACHED) return [condition("Detached", detached(at, facts))];
  const left = at.unconfirmed ?? [];
  const departed = { status: UNKNOWN, reason: "Forced", message: unconfirmed(left, facts) };
  const also = left.length > 0 ? [condition("Departed", departed)] : [];
  if (at.state === AttachmentState.DETACHING) return [condition("Detached", detached(at, facts)), ...also];
  const own = programmed(at, facts);
  // A host that fell silent after it applied this goes on forwarding: what is asked here is whether the others know.
  const hostHasIt = mayCarry(at) && at.appliedGeneration === at.generation && at.appliedState === AppliedState.PRESENT;
  return [condition("Programmed", own), condition("Reachable", reachable(hostHasIt, facts)), ...also];
}
