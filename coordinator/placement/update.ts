import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import type { Instance } from "#gen/plenum/compute/v1/instance.ts";
import { parseId } from "#lib/ids/ids.ts";
import { displayName } from "#lib/rpc/validate.ts";
import { checkEtag, maskField, tagsField } from "../call/api.ts";
import type { WriteCall } from "../call/api.ts";
import { lockFor, refuse } from "./lifecycle.ts";
import { describeInstance } from "./out/instance-store.ts";
import type { InstanceRow } from "./out/instance-store.ts";

/** An update whose form is right; what is undefined stays. */
export interface CheckedInstanceUpdate {
  readonly instanceId: string;
  readonly etag: string;
  readonly name: string | undefined;
  readonly tags: Readonly<Record<string, string>> | undefined;
}

/** Mask and values. INVALID_ARGUMENT. */
export function checkInstanceUpdate(wanted: Instance, mask: readonly string[] | undefined): CheckedInstanceUpdate {
  const fields = maskField(mask, ["name", "tags"]);
  return {
    instanceId: parseId("i", wanted.instanceId, "instance.instance_id"),
    etag: wanted.etag,
    name: fields.has("name") ? displayName(wanted.name, "instance.name") : undefined,
    tags: fields.has("tags") ? tagsField(wanted.tags, "instance.tags") : undefined,
  };
}

/** NOT_FOUND, PERMISSION_DENIED, ABORTED (STALE_ETAG), FAILED_PRECONDITION (WRONG_STATE). */
export async function updateInstance(call: WriteCall, { instanceId, etag, name, tags }: CheckedInstanceUpdate): Promise<InstanceRow> {
  const row = await lockFor(call, instanceId, "compute:UpdateInstance");
  checkEtag(etag, row.row_version);
  if (row.state === InstanceState.TERMINATED) refuse(row, "changed");
  return describeInstance(call.tx, { instance_id: instanceId, name: name ?? row.name, tags: tags ?? row.tags });
}
