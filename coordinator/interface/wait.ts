import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { goesByNewest } from "./core/enforcement.ts";
import type { Reader } from "./ports.ts";
import { readAttachments } from "./out/attachment-store.ts";
import { networkScope } from "./out/changes.ts";
import type { Look } from "./out/look.ts";
import { reachOf } from "./out/reach.ts";
import type { Observation } from "./out/reach.ts";
import type { AttachmentRow } from "./out/rows.ts";
import type { Signals, Watch } from "./out/signals.ts";

/** What one call waits for. */
export interface WaitRequest {
  readonly attachmentIds: readonly string[];
  readonly networkIds: readonly bigint[];
  /**
   * What the call asked for: that they carry traffic, that they have stopped, or that nothing of them goes by what was asked for before
   * (what is to stop has to have stopped then).
   */
  readonly goal: "programmed" | "detached" | "enforced";
  readonly wait: WaitFor;
  readonly timeoutMs: number;
  /** New versions of the scopes that the call wrote; a scope that is missing counts by its level at the first look. */
  readonly versions: ReadonlyMap<string, bigint>;
  /** How to look at them. */
  readonly look: (attachmentIds: readonly string[]) => Promise<Look>;
  /** What the call's transaction left, and a watch that began before its commit: none of them needs to be looked at before the first news. */
  readonly begun?: Begun | undefined;
}

/** The waiting of a call that has written. */
export interface Begun {
  readonly rows: readonly AttachmentRow[];
  readonly watch: Watch;
}

/** What came of a wait. */
export interface WaitOutcome {
  /** Attachments that were waited for in vain. */
  readonly unfinished: ReadonlySet<string>;
  /** All of them, as they were found last. */
  readonly look: Look;
}

/** Backstop where a wake-up was lost (C6); in the good case it never comes to this. */
const POLL_MS = 250;

/** Its own host has done what was asked. What is on no host has nobody to wait for. */
function hostDone(row: AttachmentRow, goal: WaitRequest["goal"]): boolean {
  if (row.state === AttachmentState.DETACHED) return true;
  if (goal === "detached") return false;
  if (row.host_id === null) return true;
  if (goal === "programmed" && row.wanted !== Wanted.PRESENT) return true;
  return goesByNewest({ wanted: row.wanted, newest: row.applied_generation === row.generation, appliedState: row.applied_state });
}

/** Nobody will say anything for a while. Waiting longer would only keep the caller (C6). */
function allSilent({ hosts }: Observation, rows: readonly AttachmentRow[]): boolean {
  // What is forced waits for others than its own host.
  return rows.every((row) => row.forced_version === null && row.host_id !== null && hosts.get(row.host_id)?.silent === true);
}

/** Whose own host has done it, but cannot carry packets to others, as it says itself. */
function cutOff({ hosts }: Observation, { goal }: WaitRequest, rows: readonly AttachmentRow[]): AttachmentRow[] {
  if (goal === "detached") return [];
  const placed = rows.filter((row) => row.state !== AttachmentState.DETACHING && row.host_id !== null && row.wanted === Wanted.PRESENT);
  return placed.filter((row) => hosts.get(row.host_id ?? "")?.cutOff === true);
}

/** Attachments that are looked at whole with each piece of news; of more, only their rows are until these say that it is over. */
const FEW = 16;
/** Of so many looks at more than that one is whole all the same: hosts that fall silent say nothing. */
const LOOK_EVERY = 4;

/**
 * Wait until the hosts have done what a call asked for, the time is over, or a host is silent for longer than its lease. Never
 * changes anything, never fails for a host's sake (C6, C7).
 */
export async function waitForHosts(db: Reader, signals: Signals, request: WaitRequest, signal: AbortSignal): Promise<WaitOutcome> {
  const { networkIds, goal, attachmentIds, begun } = request;
  const reachable = request.wait === WaitFor.REACHABLE;
  const end = performance.now() + request.timeoutMs;
  const targets = new Map(request.versions);
  const watch = begun?.watch ?? signals.watch(attachmentIds);
  if (reachable) watch.add(networkIds.map(networkScope));
  // Done is done: what somebody asks for later is not this call's to wait for.
  let awaited = new Set(attachmentIds);
  const narrow = (open: readonly AttachmentRow[]): void => {
    if (!reachable && open.length > 0) awaited = new Set(open.map((row) => row.attachment_id));
  };
  try {
    // Nothing that was said since the commit is missed: the watch is older.
    let busy = begun !== undefined && begun.rows.some((row) => !hostDone(row, goal));
    for (let looks = 0; ; looks += 1) {
      const left = end - performance.now();
      if (!busy && awaited.size > FEW && left > 0 && looks % LOOK_EVERY !== 0) {
        const open = (await readAttachments(db, { attachmentIds: [...awaited], over: true })).filter((row) => !hostDone(row, goal));
        narrow(open);
        busy = open.length > 0;
      }
      if (!busy) {
        const look = await request.look(attachmentIds);
        const rows = look.rows.filter((row) => awaited.has(row.attachment_id));
        const open = rows.filter((row) => !hostDone(row, goal));
        // The others are asked only once their own hosts are done: until then nothing could end the wait.
        const unfinished = open.length > 0 ? open : waitingForOthers(request, look.seen, rows, targets);
        narrow(unfinished);
        if (unfinished.length === 0 || left <= 0 || (looks > 0 && open.length > 0 && allSilent(look.seen, open)))
          return { unfinished: new Set(unfinished.map((row) => row.attachment_id)), look };
      }
      busy = false;
      await watch.wake.wait(Math.min(left, POLL_MS), signal);
      signal.throwIfAborted();
    }
  } finally {
    watch.close();
  }
}

/** Whose own hosts are done, but cannot carry packets, or not every host of the network has what it must. `targets`: versions, by scope. */
function waitingForOthers(
  request: WaitRequest,
  seen: Observation,
  rows: readonly AttachmentRow[],
  targets: Map<string, bigint>,
): AttachmentRow[] {
  const cut = cutOff(seen, request, rows);
  if (request.wait !== WaitFor.REACHABLE) return cut;
  for (const [id, { level }] of seen.networks) if (!targets.has(networkScope(id))) targets.set(networkScope(id), level);
  return rows.filter((row) => {
    const progress = seen.networks.get(row.network_id);
    const behind = progress === undefined ? [] : reachOf(progress, targets.get(networkScope(row.network_id)) ?? 0n).behind;
    return cut.includes(row) || behind.length > 0;
  });
}
