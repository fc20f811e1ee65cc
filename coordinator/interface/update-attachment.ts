import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Attachment } from "#gen/plenum/nivc/v1/interface.ts";
import { parseId } from "#lib/ids/ids.ts";
import { failedPrecondition, notFound } from "#lib/rpc/errors.ts";
import { maskField } from "../call/api.ts";
import type { WriteCall } from "../call/api.ts";
import { grantsFor } from "../consent/api.ts";
import { instanceRef, requireAttach } from "./attach-rights.ts";
import { interfaceRef } from "./create.ts";
import { attachmentRef } from "./detach-rights.ts";
import { standing } from "./move.ts";
import { lockAttachments, readAttachments, updateAttachments } from "./out/attachment-store.ts";
import type { AttachmentRow } from "./out/rows.ts";
import type { InstanceDirectory } from "./ports.ts";

/** A change of an attachment whose form is right. */
export interface CheckedAttachmentUpdate {
  readonly attachmentId: string;
  readonly deleteOnTerminate: boolean;
}

/** Mask and values. INVALID_ARGUMENT. */
export function checkAttachmentUpdate(wanted: Attachment, mask: readonly string[] | undefined): CheckedAttachmentUpdate {
  maskField(mask, ["delete_on_terminate"]);
  return {
    attachmentId: parseId("eni-attach", wanted.attachmentId, "attachment.attachment_id"),
    deleteOnTerminate: wanted.deleteOnTerminate,
  };
}

/**
 * Say anew whether the record goes with its instance (N11): for whoever may attach the one to the other. Answers the attachment, alone.
 * NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION (WRONG_STATE: its end was asked for).
 */
export async function updateAttachment(
  call: WriteCall,
  directory: InstanceDirectory,
  update: CheckedAttachmentUpdate,
): Promise<AttachmentRow[]> {
  const { attachmentId, deleteOnTerminate } = update;
  const [seen] = await readAttachments(call.tx, { attachmentIds: [attachmentId], over: true });
  if (seen === undefined) throw notFound("attachment", attachmentId);
  const grants = (await grantsFor(call.tx, [seen.interface_id])).get(seen.interface_id);
  const ref = attachmentRef(seen, grants);
  // Who sees neither its record nor its instance is not told their names.
  call.requireSee(ref);
  const record = interfaceRef({ interface_id: seen.interface_id, owner_account: seen.interface_owner }, grants);
  await requireAttach(call, record, instanceRef({ instanceId: seen.instance_id, ownerAccount: seen.instance_owner }), deleteOnTerminate);
  call.concerns(ref);
  // Before its instance ends, or after: never in between.
  await directory.lock(call.tx, [seen.instance_id]);
  const [row = seen] = await lockAttachments(call.tx, { attachmentIds: [attachmentId], over: true });
  if (row.state === AttachmentState.DETACHING || row.state === AttachmentState.DETACHED) {
    throw failedPrecondition("WRONG_STATE", `the end of ${attachmentId} was asked for: what becomes of its record is settled`, {
      state: row.state === AttachmentState.DETACHED ? "DETACHED" : "DETACHING",
    });
  }
  return updateAttachments(call, [{ attachment_id: attachmentId, next: standing(row), delete_on_terminate: deleteOnTerminate }]);
}
