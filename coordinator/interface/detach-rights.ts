import { inOwnRight } from "../call/api.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import type { AttachmentRow } from "./out/rows.ts";

export const ACTION = "nivc:DetachInterface";

/** An attachment as the rules see it: its record's owner may end it, who is a detacher, and the owner of the instance. */
export function attachmentRef(row: AttachmentRow, grants: ResourceRef["grants"] = []): ResourceRef {
  return {
    kind: "attachment",
    id: row.attachment_id,
    ownerAccount: row.interface_owner,
    consentsOn: row.interface_id,
    grants: [...grants, { accountId: row.instance_owner, action: ACTION }],
  };
}

/** It leaves the record's addresses with a host that nobody can ask: for the record's owner to decide, or the operator. */
export function requireForce(call: WriteCall, row: AttachmentRow, grants: ResourceRef["grants"]): void {
  const ref = attachmentRef(row, grants);
  if (!inOwnRight(call.subject, ref)) call.forbid(ACTION, ref, "only the interface's owner may force");
}
