import { notFound } from "#lib/rpc/errors.ts";
import { actsBy } from "../call/api.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import { countAgainst, grantsFor, lapseOf } from "../consent/api.ts";
import type { WantedAttachment } from "./attach-checks.ts";
import { interfaceRef } from "./create.ts";
import { COUNTED } from "./in/spec.ts";
import type { InterfaceRow } from "./out/rows.ts";
import type { LockedInstance } from "./ports.ts";

const ACTION = "nivc:AttachInterface";

export const instanceRef = (instance: { instanceId: string; ownerAccount: string }): ResourceRef => ({
  kind: "instance",
  id: instance.instanceId,
  ownerAccount: instance.ownerAccount,
});

/** Of an account's records: in its own right, not by a list. */
export const ownsRecordsOf = ({ subject }: WriteCall, accountId: string): boolean =>
  subject.kind === "operator" || (subject.role === "owner" && subject.accountId === accountId);

/** A consent that the caller was given and that does not allow it now is named: it can see that one in any case. */
async function requireRecord(call: WriteCall, ref: ResourceRef): Promise<void> {
  if (call.may(ACTION, ref).effect === "allow") return;
  const why = await lapseOf(call.tx, call.subject, ref.id, ACTION);
  if (why !== undefined) call.forbid(ACTION, ref, why);
  call.require(ACTION, ref);
}

/** An account's owners use its instances; a member that a list of its own account names uses them for that record. */
function requireInstance(call: WriteCall, instance: ResourceRef, record: ResourceRef): void {
  const { role, accountId } = call.subject;
  if (role !== "member" || accountId !== instance.ownerAccount) call.require(ACTION, instance);
  else if (record.ownerAccount !== instance.ownerAccount) call.forbid(ACTION, instance, "members attach what their own account owns");
}

/** Who may attach a record to an instance; `deleteOnTerminate`: to delete it later with that, too. NOT_FOUND, PERMISSION_DENIED. */
export async function requireAttach(
  call: WriteCall,
  record: ResourceRef,
  instance: ResourceRef,
  deleteOnTerminate: boolean,
): Promise<void> {
  await requireRecord(call, record);
  requireInstance(call, instance, record);
  if (deleteOnTerminate) call.require("nivc:DeleteInterface", record);
}

/**
 * Who may: owner or attacher of the record, and owner of the instance. Deleting it later with the instance is its owner's to allow. What
 * an attacher's consent limits is counted. NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (LIMIT_EXCEEDED).
 */
export async function authoriseAttach(
  call: WriteCall,
  wanted: readonly WantedAttachment[],
  rows: ReadonlyMap<string, InterfaceRow>,
  instances: ReadonlyMap<string, LockedInstance>,
): Promise<void> {
  const listed = [...rows.values()].filter((row) => !ownsRecordsOf(call, row.owner_account)).map((row) => row.interface_id);
  const grants = await grantsFor(call.tx, listed);
  for (const { interfaceId, instanceId, deleteOnTerminate } of wanted) {
    const row = rows.get(interfaceId);
    if (row === undefined) throw notFound("interface", interfaceId);
    const ref = interfaceRef(row, grants.get(interfaceId));
    const instance = instances.get(instanceId);
    if (instance === undefined) {
      await requireRecord(call, ref);
      throw notFound("instance", instanceId);
    }
    await requireAttach(call, ref, instanceRef(instance), deleteOnTerminate);
    if (!ownsRecordsOf(call, row.owner_account)) await countAttachment(call, ref);
  }
}

async function countAttachment(call: WriteCall, { grants = [] }: ResourceRef): Promise<void> {
  const used = grants.filter((grant) => grant.action === ACTION && actsBy(call.subject, grant));
  const consents = used.flatMap((grant) => grant.consentId ?? []);
  await countAgainst(call.tx, consents, COUNTED.attachers ?? "", 1);
}
