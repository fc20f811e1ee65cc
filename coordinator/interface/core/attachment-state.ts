import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";

/**
 * What decides where an attachment goes next.
 *
 * - not placed: `hostId` null. The instance is stopped, or the attachment is over.
 * - carried:    placed, wanted PRESENT. ATTACHING until the host said so once, then ATTACHED.
 * - leaving:    placed, wanted ABSENT, not yet acknowledged. DETACHING when it ends, ATTACHING when only its instance stops.
 */
export interface Standing {
  readonly state: AttachmentState;
  readonly hostId: string | null;
  readonly wanted: Wanted;
  /** Rises with whatever the host must apply; statuses are matched by it. */
  readonly generation: bigint;
}

/** What a host said of one attachment. */
export interface HostSaid {
  readonly generation: bigint;
  readonly state: AppliedState;
  readonly message: string;
}

/** What to remember of a status that was taken. `undefined`: it changes nothing. */
export interface Applied {
  readonly next: Standing;
  /** PRESENT, ABSENT or FAILED as the host said. */
  readonly appliedState: AppliedState;
  readonly appliedMessage: string;
}

const over = (state: AttachmentState): boolean => state === AttachmentState.DETACHED;
const leaving = (at: Standing): boolean => at.hostId !== null && at.wanted === Wanted.ABSENT;

/** The instance starts on `hostId`. Only what is attached and on no host can be placed. */
export function place(at: Standing, hostId: string): Standing {
  if (at.hostId !== null || at.state !== AttachmentState.ATTACHING)
    throw new Error(`an attachment in state ${at.state} on ${at.hostId ?? "no host"} cannot be placed`);
  return { state: AttachmentState.ATTACHING, hostId, wanted: Wanted.PRESENT, generation: at.generation + 1n };
}

/** The instance stops: the host must let go, the attachment stays. */
export function unplace(at: Standing): Standing {
  if (at.hostId === null || over(at.state) || leaving(at)) return at;
  return { ...at, state: AttachmentState.ATTACHING, wanted: Wanted.ABSENT, generation: at.generation + 1n };
}

/** The attachment ends: at once where no host carries it, else with the host's acknowledgement (C7). */
export function detach(at: Standing): Standing {
  if (over(at.state) || at.state === AttachmentState.DETACHING) return at;
  if (at.hostId === null) return { ...at, state: AttachmentState.DETACHED, wanted: Wanted.ABSENT };
  // Already leaving because its instance stops: the same acknowledgement ends it.
  if (leaving(at)) return { ...at, state: AttachmentState.DETACHING };
  return { ...at, state: AttachmentState.DETACHING, wanted: Wanted.ABSENT, generation: at.generation + 1n };
}

/**
 * Its host is silent, and every other refuses that host's packets for it (C7): it is off its host without that host's word. Undefined:
 * it is not leaving one.
 */
export function forceOff(at: Standing): Standing | undefined {
  if (over(at.state) || !leaving(at)) return undefined;
  return at.state === AttachmentState.DETACHING ? { ...at, state: AttachmentState.DETACHED } : { ...at, hostId: null };
}

/** Its rules, groups or checks changed. A host that carries it must apply that; one that lets go of it need not. */
export function reconfigure(at: Standing): Standing {
  if (at.hostId === null || over(at.state) || leaving(at)) return at;
  return { ...at, generation: at.generation + 1n };
}

/** A host's status. One for another generation is stale and changes nothing. */
export function applied(at: Standing, said: HostSaid): Applied | undefined {
  if (at.hostId === null || over(at.state) || said.generation !== at.generation) return undefined;
  const taken = { appliedState: said.state, appliedMessage: said.message };
  if (at.wanted === Wanted.PRESENT && said.state === AppliedState.PRESENT)
    return { ...taken, next: { ...at, state: AttachmentState.ATTACHED } };
  if (at.wanted === Wanted.ABSENT && said.state === AppliedState.ABSENT) {
    const ended = at.state === AttachmentState.DETACHING;
    // The host of an attachment that is over stays named, for whoever reads it later; a stopped instance's has none.
    return { ...taken, next: ended ? { ...at, state: AttachmentState.DETACHED } : { ...at, hostId: null } };
  }
  // The host could not, or is half way: remembered for the conditions, nothing moves.
  return { ...taken, next: at };
}
