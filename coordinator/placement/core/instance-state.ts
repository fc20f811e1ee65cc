import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";

/** What decides where an instance goes next. It is on a host from PENDING until STOPPED or TERMINATED. */
export interface InstanceStanding {
  readonly state: InstanceState;
  readonly hostId: string | null;
  /** Rises with whatever the host must apply; statuses are matched by it. */
  readonly generation: bigint;
  readonly appliedGeneration: bigint;
  readonly appliedState: number;
}

const RUNS: ReadonlySet<InstanceState> = new Set([InstanceState.PENDING, InstanceState.RUNNING]);
const GOES: ReadonlySet<InstanceState> = new Set([InstanceState.STOPPING, InstanceState.TERMINATING]);

/** Whether its host is to carry it. */
export const runs = (state: InstanceState): boolean => RUNS.has(state);

/** Whether its host is to let go of it: the last of its attachments to go may end that. */
export const leavesHost = (state: InstanceState): boolean => GOES.has(state);

/** Whether an interface may be attached: not while it ends, and not after. */
export const attachable = (state: InstanceState): boolean =>
  RUNS.has(state) || state === InstanceState.STOPPED || state === InstanceState.STOPPING;

/** What its host is told. */
export const wantedOnHost = (state: InstanceState): Wanted => (RUNS.has(state) ? Wanted.PRESENT : Wanted.ABSENT);

/** Name of a state, as in the proto without its prefix. */
export function stateName(state: InstanceState): string {
  return Object.entries(InstanceState).find(([, value]) => value === state)?.[0] ?? String(state);
}

/** What a call about an instance comes to: it moves, it is there already, or its state forbids it. */
export type Step = { readonly kind: "move"; readonly next: InstanceStanding } | { readonly kind: "stays" } | { readonly kind: "refused" };

const move = (at: InstanceStanding, change: Partial<InstanceStanding>): Step => ({ kind: "move", next: { ...at, ...change } });

/** Start on `hostId`. Which host is asked only of what can start. */
export function start(at: InstanceStanding, hostId: string): Step {
  if (RUNS.has(at.state)) return { kind: "stays" };
  if (at.state !== InstanceState.STOPPED) return { kind: "refused" };
  return move(at, { state: InstanceState.PENDING, hostId, generation: at.generation + 1n });
}

export function stop(at: InstanceStanding): Step {
  if (RUNS.has(at.state)) return move(at, { state: InstanceState.STOPPING, generation: at.generation + 1n });
  return at.state === InstanceState.STOPPING || at.state === InstanceState.STOPPED ? { kind: "stays" } : { kind: "refused" };
}

/** End for good. What is on no host is over at once. */
export function terminate(at: InstanceStanding): Step {
  switch (at.state) {
    case InstanceState.PENDING:
    case InstanceState.RUNNING:
      return move(at, { state: InstanceState.TERMINATING, generation: at.generation + 1n });
    case InstanceState.STOPPING: // the host was asked to let go already: the same word ends it
      return move(at, { state: InstanceState.TERMINATING });
    case InstanceState.STOPPED:
      return move(at, { state: InstanceState.TERMINATED });
    default:
      return { kind: "stays" };
  }
}

/** A host's status. One for another generation is stale: undefined. */
export function applied(
  at: InstanceStanding,
  said: { readonly generation: bigint; readonly state: AppliedState },
): InstanceStanding | undefined {
  if (at.hostId === null || said.generation !== at.generation) return undefined;
  const heard = { ...at, appliedGeneration: said.generation, appliedState: said.state };
  return RUNS.has(at.state) && said.state === AppliedState.PRESENT ? { ...heard, state: InstanceState.RUNNING } : heard;
}

/**
 * Whether the host has let go of everything: it said so of the instance, and of each of its interfaces (`carried`: how many it has
 * not yet). Then the instance is on no host any more.
 */
export function settle(at: InstanceStanding, carried: number): InstanceStanding | undefined {
  if (!GOES.has(at.state) || carried > 0) return undefined;
  if (at.appliedGeneration !== at.generation || at.appliedState !== AppliedState.ABSENT) return undefined;
  return gone(at);
}

/** The same by force: its host is silent, and its interfaces are off it (C7). */
export function settleForced(at: InstanceStanding, carried: number): InstanceStanding | undefined {
  return !GOES.has(at.state) || at.hostId === null || carried > 0 ? undefined : gone(at);
}

function gone(at: InstanceStanding): InstanceStanding {
  return { ...at, hostId: null, state: at.state === InstanceState.STOPPING ? InstanceState.STOPPED : InstanceState.TERMINATED };
}
