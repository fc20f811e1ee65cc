import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { WriteCall } from "../call/api.ts";
import { revokeConsentsOf } from "../consent/api.ts";
import { holdGroupSets } from "../network/api.ts";
import { detach, place, reconfigure, unplace } from "./core/attachment-state.ts";
import type { Standing } from "./core/attachment-state.ts";
import { mappingsGone } from "./core/items.ts";
import { ACTION as DETACH, attachmentRef } from "./detach-rights.ts";
import type { PlacedHost } from "./ports.ts";
import { lockAttachments, lockOwed, readAttachments, updateAttachments } from "./out/attachment-store.ts";
import type { AttachmentChange } from "./out/attachment-store.ts";
import { forgetRulesets, tellHosts, tellNetwork, tellNetworks } from "./out/changes.ts";
import { deleteInterfaces } from "./out/interface-store.ts";
import { replaceResidue } from "./out/residue-store.ts";
import type { AttachmentRow } from "./out/rows.ts";

export const standing = (row: AttachmentRow): Standing => ({
  state: row.state,
  hostId: row.host_id,
  wanted: row.wanted,
  generation: row.generation,
});

const NO_HOSTS: ReadonlyMap<string, PlacedHost> = new Map();

/** Its addresses live at its host now. */
const mapped = (at: Standing): boolean => at.hostId !== null && at.wanted === Wanted.PRESENT;

/** Records whose last attachment ended with their instance, where that was asked for (N11). */
export async function deleteOwed(call: WriteCall, rows: readonly AttachmentRow[]): Promise<void> {
  const owed = rows.filter((row) => row.state === AttachmentState.DETACHED && row.delete_when_detached).map((row) => row.interface_id);
  if (owed.length === 0) return;
  await deleteInterfaces(call, owed);
  await revokeConsentsOf(call, owed);
}

/**
 * End these attachments, which the caller has locked. `terminating`: their instance ends for good, so that records go with it where
 * `delete_on_terminate` says so. What no host carries is over at once; answers the rows as they are then.
 */
export async function detachLocked(call: WriteCall, rows: readonly AttachmentRow[], terminating: boolean): Promise<AttachmentRow[]> {
  const changes = rows.flatMap((row): AttachmentChange[] => {
    const next = detach(standing(row));
    const owed = terminating && row.delete_on_terminate && row.state !== AttachmentState.DETACHING;
    const same = next.state === row.state && next.generation === row.generation;
    if (same && !owed) return [];
    const ending = row.state === next.state ? undefined : call.subject.principalId;
    return [{ attachment_id: row.attachment_id, next, detached_by: ending, delete_when_detached: owed ? true : undefined }];
  });
  const before = new Map(rows.map((row) => [row.attachment_id, row]));
  const changed = await updateAttachments(call, changes);
  const asked = changed.filter((row) => row.generation !== before.get(row.attachment_id)?.generation);
  await tellHosts(call, asked);
  tellNetworks(call, asked, NO_HOSTS);
  await deleteOwed(call, changed);
  const after = new Map(changed.map((row) => [row.attachment_id, row]));
  return rows.map((row) => after.get(row.attachment_id) ?? row);
}

/** End all attachments of an instance, which goes for good. The instance is locked by the caller, who may end it. */
export async function detachAllOf(call: WriteCall, instanceId: string): Promise<AttachmentRow[]> {
  await lockOwed(call.tx, { instanceIds: [instanceId] });
  const rows = await lockAttachments(call.tx, { instanceIds: [instanceId] });
  // Whose record leaves with another account's instance finds it in its audit.
  for (const row of rows) if (row.interface_owner !== row.instance_owner) call.require(DETACH, attachmentRef(row));
  return detachLocked(call, rows, true);
}

/** The instance starts on `host`: its attachments are carried there, by meters of their own. The instance is locked by the caller. */
export async function placeAttachments(call: WriteCall, instanceId: string, host: PlacedHost): Promise<AttachmentRow[]> {
  // Rules may have changed while no host carried it. Sets before attachments: who replaces rules locks in that order.
  const setsOf = async (rows: readonly AttachmentRow[]) =>
    holdGroupSets(
      call.tx,
      rows.map((row) => Number(row.group_set_id)),
    );
  let sets = await setsOf(await readAttachments(call.tx, { instanceIds: [instanceId] }));
  const rows = await lockAttachments(call.tx, { instanceIds: [instanceId] });
  if (rows.some((row) => !sets.has(Number(row.group_set_id)))) sets = await setsOf(rows); // its groups changed in between
  const changed = await updateAttachments(
    call,
    rows.map((row) => {
      const ruleset = sets.get(Number(row.group_set_id))?.rulesetId;
      return {
        attachment_id: row.attachment_id,
        next: place(standing(row), host.hostId),
        ruleset_id: ruleset === undefined ? undefined : BigInt(ruleset),
        placed: true,
      };
    }),
  );
  await replaceResidue(
    call.tx,
    host.hostId,
    changed.map((row) => row.attachment_id),
  );
  await tellHosts(call, changed);
  tellNetworks(call, changed, new Map([[host.hostId, host]]));
  return changed;
}

/** The instance stops: its host lets go of its attachments, which stay. The instance is locked by the caller. */
export async function unplaceAttachments(call: WriteCall, instanceId: string): Promise<void> {
  const rows = await lockAttachments(call.tx, { instanceIds: [instanceId] });
  const moving = rows.filter((row) => unplace(standing(row)).generation !== row.generation);
  const changed = await updateAttachments(
    call,
    moving.map((row) => ({ attachment_id: row.attachment_id, next: unplace(standing(row)) })),
  );
  await tellHosts(call, changed);
  tellNetworks(call, changed, NO_HOSTS);
}

/** What to change of attachments beside their generation. */
export interface Reconfiguration {
  readonly group_set_id?: bigint;
  readonly ruleset_id?: bigint;
  readonly source_dest_check?: boolean | undefined;
  readonly dns_servers?: readonly string[] | undefined;
  readonly disabled?: boolean | undefined;
  /** With prefix length. Which ones the attachment holds is the caller's to write. */
  readonly addresses?: readonly string[];
}

/**
 * Give locked attachments other rules, checks or addresses. Hosts get item and rules in one change; networks hear of it only when the
 * group set or the addresses are others, since they carry those. `hosts`: where placed ones are.
 */
export async function reconfigureLocked(
  call: WriteCall,
  rows: readonly AttachmentRow[],
  to: (row: AttachmentRow) => Reconfiguration,
  hosts: ReadonlyMap<string, PlacedHost>,
): Promise<void> {
  const changes = rows.map((row): AttachmentChange => {
    const { ruleset_id, ...rest } = to(row);
    // What its host lets go of keeps the rules that the host has: those it is told to forget. Starting again brings the new ones.
    const held = row.host_id !== null && row.wanted === Wanted.ABSENT;
    return { attachment_id: row.attachment_id, next: reconfigure(standing(row)), ...rest, ruleset_id: held ? undefined : ruleset_id };
  });
  const before = new Map(rows.map((row) => [row.attachment_id, row]));
  const changed = await updateAttachments(call, changes);
  const carriedNow = changed.filter((row) => mapped(standing(row)));
  await tellHosts(call, carriedNow);
  const left = (row: AttachmentRow): string[] =>
    (before.get(row.attachment_id)?.addresses ?? []).filter((address) => !row.addresses.includes(address));
  for (const row of carriedNow) tellNetwork(call, row.network_id, mappingsGone({ addresses: left(row) }));
  tellNetworks(
    call,
    carriedNow.filter((row) => {
      const was = before.get(row.attachment_id);
      return row.group_set_id !== was?.group_set_id || row.addresses.join() !== was.addresses.join();
    }),
    hosts,
  );
  for (const [hostId, own] of [...Map.groupBy(carriedNow, (row) => row.host_id ?? "")].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const former = own.flatMap((row) => {
      const old = before.get(row.attachment_id)?.ruleset_id;
      return old === undefined || old === row.ruleset_id ? [] : [Number(old)];
    });
    await forgetRulesets(call, hostId, former);
  }
}
