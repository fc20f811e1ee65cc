import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { goesByNewest } from "./core/enforcement.ts";
import type { InstanceDirectory, Reader } from "./ports.ts";
import { readAttachments } from "./out/attachment-store.ts";
import { networkScope } from "./out/changes.ts";
import { observe, reachOf } from "./out/reach.ts";
import type { AttachmentRow } from "./out/rows.ts";
import type { Signals } from "./out/signals.ts";

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
async function allSilent(db: Reader, directory: InstanceDirectory, rows: readonly AttachmentRow[]): Promise<boolean> {
  const hosts = await directory.hosts(
    db,
    rows.flatMap((row) => row.host_id ?? []),
  );
  // What is forced waits for others than its own host.
  return rows.every((row) => row.forced_version === null && row.host_id !== null && hosts.get(row.host_id)?.silent === true);
}

/** Whose own host has done it, but cannot carry packets to others, as it says itself. */
async function cutOff(
  db: Reader,
  directory: InstanceDirectory,
  { goal }: WaitRequest,
  rows: readonly AttachmentRow[],
): Promise<AttachmentRow[]> {
  const placed = rows.filter((row) => row.state !== AttachmentState.DETACHING && row.host_id !== null && row.wanted === Wanted.PRESENT);
  if (goal === "detached" || placed.length === 0) return [];
  const hosts = await directory.hosts(
    db,
    placed.flatMap((row) => row.host_id ?? []),
  );
  return placed.filter((row) => hosts.get(row.host_id ?? "")?.cutOff === true);
}

/**
 * Wait until the hosts have done what a call asked for, the time is over, or a host is silent for longer than its lease. Never
 * changes anything, never fails for a host's sake. Answers the attachments that it waited for in vain (C6, C7).
 */
export async function waitForHosts(
  db: Reader,
  directory: InstanceDirectory,
  signals: Signals,
  request: WaitRequest,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { networkIds, goal } = request;
  let { attachmentIds } = request;
  const reachable = request.wait === WaitFor.REACHABLE;
  const end = performance.now() + request.timeoutMs;
  const targets = new Map(request.versions);
  const scopes = reachable ? networkIds.map(networkScope) : [];
  const { wake, close } = signals.watch([...attachmentIds, ...scopes]);
  try {
    for (let looks = 0; ; looks += 1) {
      const rows = await readAttachments(db, { attachmentIds, over: true });
      const open = rows.filter((row) => !hostDone(row, goal));
      // The others are asked only once their own hosts are done: until then nothing could end the wait.
      const seen = reachable && open.length === 0 ? await observe(db, directory, rows) : undefined;
      for (const [id, { level }] of seen?.networks ?? []) if (!targets.has(networkScope(id))) targets.set(networkScope(id), level);
      const reached = (row: AttachmentRow): boolean => {
        const progress = seen?.networks.get(row.network_id);
        return progress === undefined || reachOf(progress, targets.get(networkScope(row.network_id)) ?? 0n).behind.length === 0;
      };
      const cut = open.length > 0 ? [] : await cutOff(db, directory, request, rows);
      const unfinished = open.length > 0 ? open : rows.filter((row) => cut.includes(row) || !reached(row));
      // Done is done: what somebody asks for later is not this call's to wait for.
      if (!reachable) attachmentIds = unfinished.map((row) => row.attachment_id);
      const left = end - performance.now();
      if (unfinished.length === 0 || left <= 0 || (looks > 0 && open.length > 0 && (await allSilent(db, directory, open)))) {
        return new Set(unfinished.map((row) => row.attachment_id));
      }
      await wake.wait(Math.min(left, POLL_MS), signal);
      signal.throwIfAborted();
    }
  } finally {
    close();
  }
}
