import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { failedPrecondition } from "#lib/rpc/errors.ts";
import type { PlenumError } from "#lib/rpc/errors.ts";
import type { WriteCall } from "../call/api.ts";
import { grantsFor } from "../consent/api.ts";
import { forceOff } from "./core/attachment-state.ts";
import type { HostFacts } from "./core/conditions.ts";
import { requireForce } from "./detach-rights.ts";
import { deleteOwed, standing } from "./move.ts";
import { lockAttachments, lockOwed, updateAttachments } from "./out/attachment-store.ts";
import type { AttachmentChange } from "./out/attachment-store.ts";
import { forgetRulesets } from "./out/changes.ts";
import { forceFacts, neededVersion, observeHeld } from "./out/reach.ts";
import { leaveResidue } from "./out/residue-store.ts";
import type { AttachmentRow } from "./out/rows.ts";
import type { InstanceDirectory } from "./ports.ts";

/** Wakes whoever ends what is forced. */
export const FORCED_KEY = "forced";

/** The refusal to force while a host can still be asked (C7); `what` names what is to end. */
export function leaseRuns(what: string, host: HostFacts): PlenumError {
  const until = host.leaseEnd?.toISOString() ?? "";
  return failedPrecondition("WRONG_STATE", `the lease of ${what}'s host runs until ${until}: its own word is awaited; force after that`, {
    state: "HOST_LEASE_RUNNING",
    lease_end_time: until,
  });
}

/**
 * Force these attachments off their hosts. They are locked, and leaving or on none. FAILED_PRECONDITION (WRONG_STATE) while the lease of
 * one of the hosts runs. Nothing is over with this: `settleForced` ends it.
 */
export async function forceLocked(call: WriteCall, directory: InstanceDirectory, rows: readonly AttachmentRow[]): Promise<AttachmentRow[]> {
  const leaving = rows.filter((row) => row.host_id !== null && row.wanted === Wanted.ABSENT && row.state !== AttachmentState.DETACHED);
  const hosts = await directory.hosts(
    call.tx,
    leaving.flatMap((row) => row.host_id ?? []),
  );
  for (const row of leaving) {
    const host = hosts.get(row.host_id ?? "");
    if (host?.silent === false) throw leaseRuns(row.attachment_id, host);
  }
  const changed = await updateAttachments(
    call,
    leaving.map((row) => ({ attachment_id: row.attachment_id, next: standing(row), forced_version: 0n })),
  );
  const after = new Map(changed.map((row) => [row.attachment_id, row]));
  return rows.map((row) => after.get(row.attachment_id) ?? row);
}

/** The same for all that an instance has. The instance is locked by the caller. PERMISSION_DENIED with an interface of another account. */
export async function forceAllOf(call: WriteCall, directory: InstanceDirectory, instanceId: string): Promise<AttachmentRow[]> {
  const rows = await lockAttachments(call.tx, { instanceIds: [instanceId] });
  // The instance may carry records of others: whoever may end the instance may not for that reason give up their addresses.
  const grants = await grantsFor(
    call.tx,
    rows.map((row) => row.interface_id),
  );
  for (const row of rows) requireForce(call, row, grants.get(row.interface_id));
  return forceLocked(call, directory, rows);
}

/**
 * End what is forced of an instance and need not wait any longer. The instance is locked by the caller. Answers the ids of attachments
 * that are off their hosts now.
 */
export async function settleForced(call: WriteCall, directory: InstanceDirectory, instanceId: string): Promise<string[]> {
  await lockOwed(call.tx, { instanceIds: [instanceId] });
  const rows = (await lockAttachments(call.tx, { instanceIds: [instanceId] })).filter((row) => row.forced_version !== null);
  const seen = await observeHeld(call.tx, directory, rows);
  const changes = rows.flatMap((row): AttachmentChange[] => {
    const progress = seen.networks.get(row.network_id);
    const next = forceOff(standing(row));
    if (progress === undefined || next === undefined) return [];
    const { attachment_id } = row;
    if (forceFacts(row, seen)?.behind.length === 0) {
      return [{ attachment_id, next }];
    }
    if (row.forced_version !== 0n) return [];
    return [{ attachment_id, next: standing(row), forced_version: neededVersion(row, progress) }];
  });
  const changed = await updateAttachments(call, changes);
  const off = changed.filter((row) => row.state === AttachmentState.DETACHED || row.host_id === null);
  await deleteOwed(call, off);
  const ids = new Set(off.map((row) => row.attachment_id));
  // As they were: each with the host that it is off.
  const before = rows.filter((row) => ids.has(row.attachment_id));
  const residue = before.flatMap((row) => {
    const progress = seen.networks.get(row.network_id);
    return progress === undefined ? [] : [{ ...row, version: neededVersion(row, progress) }];
  });
  await leaveResidue(call.tx, residue);
  for (const [hostId, own] of Map.groupBy(before, (row) => row.host_id ?? "")) {
    await forgetRulesets(
      call,
      hostId,
      own.map((row) => Number(row.ruleset_id)),
    );
  }
  return [...ids];
}
