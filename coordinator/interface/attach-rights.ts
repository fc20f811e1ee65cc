import { notFound, PlenumError } from "#lib/rpc/errors.ts";
import { actsBy, inOwnRight } from "../call/api.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import { countAgainst, grantsFor, lapseOf } from "../consent/api.ts";
import type { WantedAttachment } from "./attach-checks.ts";
import { interfaceRef } from "./create.ts";
import { COUNTED } from "./in/spec.ts";
import { readInterfaces } from "./out/interface-store.ts";
import type { InterfaceRow } from "./out/rows.ts";

const ACTION = "nivc:AttachInterface";

export const instanceRef = (instance: { instanceId: string; ownerAccount: string }): ResourceRef => ({
  kind: "instance",
  id: instance.instanceId,
  ownerAccount: instance.ownerAccount,
});

/** A consent that the caller was given and that does not allow it now is named: it can see that one in any case. */
async function requireRecord(call: WriteCall, ref: ResourceRef): Promise<void> {
  if (call.may(ACTION, ref).effect === "allow") return;
  const lapsed = await lapseOf(call.tx, call.subject, ref.id, ACTION);
  if (lapsed !== undefined) call.forbid(ACTION, ref, lapsed.why, lapsed.consentId);
  call.require(ACTION, ref);
}

/**
 * An account's owners use its instances. Whom a list names for a record of its own account uses that account's instances for it, by the
 * same consent; what another account's list names a member for does not open its own account's instances.
 */
function requireInstance(call: WriteCall, instance: ResourceRef, record: ResourceRef): void {
  const { role, accountId } = call.subject;
  if (role !== "member" || accountId !== instance.ownerAccount) call.require(ACTION, instance);
  else if (record.ownerAccount === instance.ownerAccount)
    call.require(ACTION, { ...instance, consentsOn: record.id, grants: record.grants ?? [] });
  else call.forbid(ACTION, instance, "members attach what their own account owns");
}

/** The rest, where the record may be attached. */
function requireUse(call: WriteCall, record: ResourceRef, instance: ResourceRef, deleteOnTerminate: boolean): void {
  requireInstance(call, instance, record);
  if (deleteOnTerminate) call.require("nivc:DeleteInterface", record);
}

/** Who may attach a record to an instance; `deleteOnTerminate`: to delete it later with that, too. NOT_FOUND, PERMISSION_DENIED. */
export async function requireAttach(
  call: WriteCall,
  record: ResourceRef,
  instance: ResourceRef,
  deleteOnTerminate: boolean,
): Promise<void> {
  await requireRecord(call, record);
  requireUse(call, record, instance, deleteOnTerminate);
}

/** The records as the caller may attach them, by id: read, not locked. NOT_FOUND, PERMISSION_DENIED. */
export async function requireAttachable(call: WriteCall, interfaceIds: readonly string[]): Promise<ReadonlyMap<string, ResourceRef>> {
  return requireReadAttachable(call, interfaceIds, await readInterfaces(call.tx, interfaceIds));
}

async function requireReadAttachable(
  call: WriteCall,
  interfaceIds: readonly string[],
  rows: ReadonlyMap<string, InterfaceRow>,
): Promise<ReadonlyMap<string, ResourceRef>> {
  const listed = [...rows.values()].filter((row) => !inOwnRight(call.subject, interfaceRef(row))).map((row) => row.interface_id);
  const grants = await grantsFor(call.tx, listed);
  const refs = new Map<string, ResourceRef>();
  for (const id of interfaceIds) {
    const row = rows.get(id);
    if (row === undefined) throw notFound("interface", id);
    const ref = interfaceRef(row, grants.get(id));
    await requireRecord(call, ref);
    refs.set(id, ref);
  }
  return refs;
}

/**
 * Who may: owner or attacher of the record, and owner of the instance. Deleting it later with the instance is its owner's to allow. Asked
 * before anything is locked: a stranger's call must not make others wait. `owners` are the instances', `rows` the records, as read. Answers
 * the records, for each that is wanted. NOT_FOUND, PERMISSION_DENIED.
 */
export async function authoriseAttach(
  call: WriteCall,
  wanted: readonly WantedAttachment[],
  owners: ReadonlyMap<string, string>,
  rows: ReadonlyMap<string, InterfaceRow>,
): Promise<readonly ResourceRef[]> {
  const records = await requireReadAttachable(call, [...new Set(wanted.map((one) => one.interfaceId))], rows);
  const refs: ResourceRef[] = [];
  for (const { interfaceId, instanceId, deleteOnTerminate } of wanted) {
    const record = records.get(interfaceId);
    const ownerAccount = owners.get(instanceId);
    if (record === undefined || ownerAccount === undefined) throw notFound("instance", instanceId);
    requireUse(call, record, instanceRef({ instanceId, ownerAccount }), deleteOnTerminate);
    refs.push(record);
  }
  return refs;
}

/** The consents by which the caller may attach a record. */
const usedConsents = (call: WriteCall, { grants = [] }: ResourceRef): string[] =>
  grants.flatMap((grant) => (grant.action === ACTION && actsBy(call.subject, grant) ? (grant.consentId ?? []) : []));

/** What an attacher's consent limits is counted, once the record is locked. RESOURCE_EXHAUSTED (LIMIT_EXCEEDED). */
export async function countAttachment(call: WriteCall, record: ResourceRef): Promise<void> {
  if (inOwnRight(call.subject, record)) return;
  const consents = usedConsents(call, record);
  try {
    await countAgainst(call.tx, consents, COUNTED.attachers ?? "", 1);
  } catch (error) {
    const [consentId] = consents;
    throw error instanceof PlenumError && consentId !== undefined ? call.refusedBy(consentId, ACTION, record, error) : error;
  }
}
