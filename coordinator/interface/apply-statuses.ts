import { AppliedState, HostChange } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { WriteCall } from "../call/api.ts";
import { applied } from "./core/attachment-state.ts";
import type { HostSaid } from "./core/attachment-state.ts";
import { rulesetGone } from "./core/items.ts";
import { deleteOwed, standing } from "./move.ts";
import { changedRows, lockAttachments, lockOwed, told, updateAttachments } from "./out/attachment-store.ts";
import type { AttachmentChange } from "./out/attachment-store.ts";
import { forgetRulesets } from "./out/changes.ts";
import { confirmResidue } from "./out/residue-store.ts";
import type { AttachmentRow } from "./out/rows.ts";

/** What a host said of one attachment. */
export interface AttachmentSaid extends HostSaid {
  readonly attachmentId: string;
}

/** What came of a host's statuses. */
export interface AppliedOutcome {
  /** Attachments about which something became known. */
  readonly attachmentIds: readonly string[];
  /** Networks in which the host may have nothing more. */
  readonly networkIds: readonly bigint[];
}

/**
 * What a host's statuses change of these attachments (C5). A status of another generation, of an attachment that is somewhere else or
 * over, or of none changes nothing, but for one that says at last what was ended by force (`confirmed`).
 */
function changesSaid(
  hostId: string,
  rows: readonly AttachmentRow[],
  said: readonly AttachmentSaid[],
  confirmed: ReadonlySet<string>,
): AttachmentChange[] {
  const newest = new Map(said.map((one) => [one.attachmentId, one]));
  return rows.flatMap((row): AttachmentChange[] => {
    const one = newest.get(row.attachment_id);
    if (one === undefined || row.host_id !== hostId) return [];
    if (row.state === AttachmentState.DETACHED && confirmed.has(row.attachment_id))
      return [{ attachment_id: row.attachment_id, next: standing(row), applied: one }];
    const taken = applied(standing(row), one);
    if (taken === undefined) return [];
    const known = row.applied_generation === one.generation && row.applied_state === one.state && row.applied_message === one.message;
    if (known && taken.next.state === row.state && taken.next.hostId === row.host_id) return [];
    const { generation, state, message } = one;
    return [{ attachment_id: row.attachment_id, next: taken.next, applied: { generation, state, message } }];
  });
}

const off = (at: { readonly state: AttachmentState; readonly hostId: string | null }): boolean =>
  at.state === AttachmentState.DETACHED || at.hostId === null;

/** Take a host's statuses. The instances they are of are locked by the caller. */
export async function applyStatuses(call: WriteCall, hostId: string, said: readonly AttachmentSaid[]): Promise<AppliedOutcome> {
  if (said.length === 0) return { attachmentIds: [], networkIds: [] };
  const ids = [...new Set(said.map((one) => one.attachmentId))];
  const absent = said.filter((one) => one.state === AppliedState.ABSENT);
  if (absent.length > 0) await lockOwed(call.tx, { attachmentIds: absent.map((one) => one.attachmentId) });
  const rows = await lockAttachments(call.tx, { attachmentIds: ids, over: true });
  const late = await confirmResidue(call.tx, hostId, absent);
  const confirmed = new Set(late.map((one) => one.attachment_id));
  const changed = await updateAttachments(call, changesSaid(hostId, rows, said, confirmed));
  await deleteOwed(call, changed);
  const gone = changed.filter((row) => off({ state: row.state, hostId: row.host_id }));
  await forgetRulesets(
    call,
    hostId,
    gone.map((row) => Number(row.ruleset_id)),
  );
  return {
    attachmentIds: [...new Set([...changed.map((row) => row.attachment_id), ...confirmed])],
    networkIds: [...new Set([...gone, ...late].map((row) => row.network_id))],
  };
}

/** The same, judged on rows that nobody has locked: right as long as they are those. */
export interface JudgedStatuses extends AppliedOutcome {
  /** As `change_attachments` takes them. */
  readonly changes: string;
  /** Rulesets that the host may have no use for any more, each with what tells it so. */
  readonly rulesets: readonly { readonly id: number; readonly payload: Uint8Array }[];
  /** Whom else it concerns. */
  readonly told: readonly { readonly scope: string; readonly payload: Uint8Array }[];
}

/** Undefined: more comes of it than can be judged so (a record goes with its attachment). None of the rows was ended by force. */
export function judgeStatuses(hostId: string, rows: readonly AttachmentRow[], said: readonly AttachmentSaid[]): JudgedStatuses | undefined {
  const changes = changesSaid(hostId, rows, said, new Set());
  const of = new Map(rows.map((row) => [row.attachment_id, row]));
  const changing = changes.flatMap((change) => of.get(change.attachment_id) ?? []);
  const gone = changes.flatMap((change) => (off(change.next) ? (of.get(change.attachment_id) ?? []) : []));
  if (gone.some((row) => row.delete_when_detached)) return undefined;
  const scopes: { scope: string; payload: Uint8Array }[] = [];
  told({ change: (scope, payload) => void scopes.push({ scope, payload }) }, changing);
  return {
    attachmentIds: changes.map((change) => change.attachment_id),
    networkIds: [...new Set(gone.map((row) => row.network_id))],
    changes: changedRows(changes),
    rulesets: [...new Set(gone.map((row) => Number(row.ruleset_id)))].map((id) => {
      return { id, payload: HostChange.encode({ version: 0n, inSnapshot: false, items: [rulesetGone(id)] }).finish() };
    }),
    told: scopes,
  };
}
