import type { DetachInterfaceRequest } from "#gen/plenum/nivc/v1/interface_service.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { parseId } from "#lib/ids/ids.ts";
import { failedPrecondition, invalidArgument, notFound } from "#lib/rpc/errors.ts";
import { inOwnRight } from "../call/api.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import { grantsFor } from "../consent/api.ts";
import { instanceRef } from "./attach-rights.ts";
import type { InstanceDirectory } from "./ports.ts";
import { interfaceRef } from "./create.ts";
import { ACTION, attachmentRef, requireForce } from "./detach-rights.ts";
import { forceLocked } from "./force.ts";
import { detachLocked } from "./move.ts";
import { lockAttachments, readAttachments } from "./out/attachment-store.ts";
import { readInterfaces } from "./out/interface-store.ts";
import type { AttachmentRow } from "./out/rows.ts";

/** What to end, with the ids' form checked. */
export type Target = { readonly kind: "interface" | "attachment" | "instance"; readonly id: string };

/** INVALID_ARGUMENT. */
export function checkTarget(target: DetachInterfaceRequest["target"]): Target {
  switch (target?.$case) {
    case undefined:
      throw invalidArgument("target", "is missing", "give interface_id, attachment_id or instance_id");
    case "interfaceId":
      return { kind: "interface", id: parseId("eni", target.value, "interface_id") };
    case "attachmentId":
      return { kind: "attachment", id: parseId("eni-attach", target.value, "attachment_id") };
    case "instanceId":
      return { kind: "instance", id: parseId("i", target.value, "instance_id") };
  }
}

/** Rows that a target means now. An attachment that is over counts by its own id only. */
async function rowsOf(call: WriteCall, directory: InstanceDirectory, target: Target): Promise<AttachmentRow[]> {
  switch (target.kind) {
    case "attachment": {
      const rows = await readAttachments(call.tx, { attachmentIds: [target.id], over: true });
      if (rows.length === 0) throw notFound("attachment", target.id);
      return rows;
    }
    case "interface": {
      const rows = await readAttachments(call.tx, { interfaceIds: [target.id] });
      if (rows.length > 0) return rows;
      const row = (await readInterfaces(call.tx, [target.id])).get(target.id);
      if (row === undefined) throw notFound("interface", target.id);
      call.requireSee(interfaceRef(row, (await grantsFor(call.tx, [target.id])).get(target.id)));
      throw failedPrecondition("NOT_ATTACHED", `${target.id} is attached to nothing`, { interface_id: target.id });
    }
    case "instance": {
      const ownerAccount = (await directory.owners(call.tx, [target.id])).get(target.id);
      if (ownerAccount === undefined) throw notFound("instance", target.id);
      call.require(ACTION, instanceRef({ instanceId: target.id, ownerAccount }));
      return readAttachments(call.tx, { instanceIds: [target.id] });
    }
  }
}

/**
 * End attachments. Answers them as they are at the commit: DETACHED where no host carries them, else DETACHING.
 * `force`: without the word of hosts whose lease has ended. NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION (NOT_ATTACHED, and with
 * `force` WRONG_STATE).
 */
export async function detachInterfaces(
  call: WriteCall,
  directory: InstanceDirectory,
  target: Target,
  force = false,
): Promise<AttachmentRow[]> {
  const found = await rowsOf(call, directory, target);
  const listed = found.filter((row) => !inOwnRight(call.subject, attachmentRef(row))).map((row) => row.interface_id);
  const grants = await grantsFor(call.tx, listed);
  for (const row of found) {
    const named: ResourceRef = attachmentRef(row, grants.get(row.interface_id));
    // A refusal speaks of what the caller named.
    call.require(ACTION, target.kind === "interface" ? { ...named, kind: "interface", id: target.id } : named);
  }
  if (force) for (const row of found) requireForce(call, row, grants.get(row.interface_id));
  await directory.lock(call.tx, [...new Set(found.map((row) => row.instance_id))]);
  // Again, under the locks: what was read may have moved on.
  const rows = await lockAttachments(call.tx, { attachmentIds: found.map((row) => row.attachment_id), over: true });
  const open = rows.filter((row) => row.state !== AttachmentState.DETACHED);
  const over = rows.filter((row) => row.state === AttachmentState.DETACHED);
  const leaving = await detachLocked(call, open, false);
  return [...over, ...(force ? await forceLocked(call, directory, leaving) : leaving)];
}
