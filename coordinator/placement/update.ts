import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import type { Instance } from "#gen/plenum/compute/v1/instance.ts";
import { parseId } from "#lib/ids/ids.ts";
import { displayName, soughtName } from "#lib/rpc/name.ts";
import { checkEtag, maskField, tagsField } from "../call/api.ts";
import type { WriteCall } from "../call/api.ts";
import { requireActor } from "../identity/api.ts";
import { tellHost } from "../interface/api.ts";
import { runs } from "./core/instance-state.ts";
import { instanceItem } from "./core/items.ts";
import { lockFor, refuse } from "./lifecycle.ts";
import { describeInstance, setActsAs } from "./out/instance-store.ts";
import type { InstanceRow } from "./out/instance-store.ts";

/** An update whose form is right; what is undefined stays. */
export interface CheckedInstanceUpdate {
  readonly instanceId: string;
  readonly etag: string;
  readonly name: string | undefined;
  readonly tags: Readonly<Record<string, string>> | undefined;
  /** "": nobody. */
  readonly actsAs: string | undefined;
}

/** Mask and values. INVALID_ARGUMENT. */
export function checkInstanceUpdate(wanted: Instance, mask: readonly string[] | undefined): CheckedInstanceUpdate {
  const fields = maskField(mask, ["name", "tags", "acts_as"]);
  return {
    instanceId: parseId("i", wanted.instanceId, "instance.instance_id"),
    etag: wanted.etag,
    name: fields.has("name") ? displayName(wanted.name, "instance.name") : undefined,
    tags: fields.has("tags") ? tagsField(wanted.tags, "instance.tags") : undefined,
    actsAs: fields.has("acts_as") ? soughtName(wanted.actsAs, "instance.acts_as", { max: 128 }) : undefined,
  };
}

/** NOT_FOUND, PERMISSION_DENIED, ABORTED (STALE_ETAG), FAILED_PRECONDITION (WRONG_STATE, PRINCIPAL_DISABLED). */
export async function updateInstance(call: WriteCall, update: CheckedInstanceUpdate): Promise<InstanceRow> {
  const { instanceId, etag, name, tags, actsAs } = update;
  const row = await lockFor(call, instanceId, "compute:UpdateInstance", actsAs !== undefined);
  checkEtag(etag, row.row_version);
  if (row.state === InstanceState.TERMINATED) refuse(row, "changed");
  if (actsAs !== undefined && actsAs !== row.acts_as) await actAs(call, row, actsAs);
  return describeInstance(call.tx, { instance_id: instanceId, name: name ?? row.name, tags: tags ?? row.tags });
}

/** A host that carries it hears of it, under a new generation: tokens of the one before count no more, whoever they are for. */
async function actAs(call: WriteCall, row: InstanceRow, actsAs: string): Promise<void> {
  if (actsAs === "") call.note("acts_as", "");
  else await requireActor(call, { accountId: row.owner_account, principalId: actsAs });
  const tell = row.host_id !== null && runs(row.state);
  const changed = await setActsAs(call.tx, row, actsAs, tell);
  if (tell) tellHost(call, row.host_id, [instanceItem(changed)]);
}
