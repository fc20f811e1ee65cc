import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { parseId } from "#lib/ids/ids.ts";
import { notFound } from "#lib/rpc/errors.ts";
import { descriptionField, displayName } from "#lib/rpc/name.ts";
import { checkEtag, maskField, tagsField } from "../call/api.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import { grantsFor, revokeConsentsOf, setGrantees } from "../consent/api.ts";
import { existingAccounts } from "../identity/api.ts";
import { groupSetFor, holdGroupSets, refusalOf } from "../network/api.ts";
import type { GroupSet } from "../network/api.ts";
import type { InstanceDirectory } from "./ports.ts";
import { ACCESS_ACTIONS, ACCESS_LISTS, COUNTED, checkAccess, checkDnsServers, checkGroups } from "./in/spec.ts";
import type { Access } from "./in/spec.ts";
import { requireTerms } from "./lent-right.ts";
import { interfaceRef } from "./create.ts";
import { attachmentRef } from "./detach-rights.ts";
import { reconfigureLocked } from "./move.ts";
import { lockAttachments, readAttachments } from "./out/attachment-store.ts";
import { deleteInterfaces, lockInterfaces, readInterfaces, updateInterface } from "./out/interface-store.ts";
import type { AttachmentRow, InterfaceRow } from "./out/rows.ts";

const FIELDS = ["description", "tags", "security_group_ids", "source_dest_check", "access", "dns_servers", "disabled", "name"] as const;
type Field = (typeof FIELDS)[number];

/** An update whose form is right. */
export interface CheckedUpdate {
  readonly interfaceId: string;
  readonly etag: string;
  readonly fields: ReadonlySet<Field>;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly securityGroupIds: readonly string[];
  readonly sourceDestCheck: boolean;
  readonly access: Access;
  readonly dnsServers: readonly string[];
  readonly disabled: boolean;
  readonly name: string;
}

const remedyFor = (path: string): string | undefined =>
  path === "private_addresses" ? "call SetAddresses, which is a right of its own" : undefined;

/** Mask and values. INVALID_ARGUMENT. */
export function checkUpdate(wanted: Interface, mask: readonly string[] | undefined): CheckedUpdate {
  const fields = maskField(mask, FIELDS, remedyFor);
  const has = (field: Field): boolean => fields.has(field);
  return {
    interfaceId: parseId("eni", wanted.interfaceId, "interface.interface_id"),
    etag: wanted.etag,
    fields,
    description: has("description") ? descriptionField(wanted.description, "interface.description") : "",
    tags: has("tags") ? tagsField(wanted.tags, "interface.tags") : {},
    securityGroupIds: has("security_group_ids") ? checkGroups(wanted.securityGroupIds, "interface.security_group_ids", false) : [],
    sourceDestCheck: wanted.sourceDestCheck,
    disabled: wanted.disabled,
    name: has("name") ? displayName(wanted.name, "interface.name") : "",
    dnsServers: has("dns_servers") ? checkDnsServers(wanted.dnsServers, "interface.dns_servers") : [],
    access: checkAccess(has("access") ? wanted.access : undefined, "interface.access"),
  };
}

/**
 * The record, with the caller's right to `action` checked. It is not locked yet: a stranger's call must not make others wait. NOT_FOUND,
 * PERMISSION_DENIED.
 */
export async function recordFor(call: WriteCall, interfaceId: string, action: string): Promise<{ row: InterfaceRow; ref: ResourceRef }> {
  const row = (await readInterfaces(call.tx, [interfaceId])).get(interfaceId);
  if (row === undefined) throw notFound("interface", interfaceId);
  const ref = interfaceRef(row, (await grantsFor(call.tx, [interfaceId])).get(interfaceId));
  call.require(action, ref);
  return { row, ref };
}

/** It, locked. NOT_FOUND: it was deleted meanwhile. */
export async function lockRecord(call: WriteCall, interfaceId: string): Promise<InterfaceRow> {
  const row = (await lockInterfaces(call.tx, [interfaceId])).get(interfaceId);
  if (row === undefined) throw notFound("interface", interfaceId);
  return row;
}

/**
 * Change a record's fields, and with them what hosts and networks know of its attachment: one change for each. Answers whether the caller
 * sees the record still: not, where it gave up the entry by which it did. NOT_FOUND, PERMISSION_DENIED, ABORTED (STALE_ETAG).
 */
export async function updateInterfaceRecord(call: WriteCall, directory: InstanceDirectory, update: CheckedUpdate): Promise<boolean> {
  const { fields } = update;
  const { row: seen, ref } = await recordFor(call, update.interfaceId, "nivc:UpdateInterface");
  // Groups are held before the record is locked; a set that is used for the first time is made by a transaction of its own.
  const set = fields.has("security_group_ids") ? await groupSetFor(call.tx, seen.vpc_id, update.securityGroupIds) : undefined;
  const row = await lockRecord(call, update.interfaceId);
  checkEtag(update.etag, row.row_version);
  await updateInterface(call, row, {
    description: fields.has("description") ? update.description : undefined,
    tags: fields.has("tags") ? update.tags : undefined,
    name: fields.has("name") ? update.name : undefined,
    security_group_ids: set === undefined ? undefined : update.securityGroupIds,
    group_set_id: set === undefined ? undefined : BigInt(set.groupSetId),
    source_dest_check: fields.has("source_dest_check") ? update.sourceDestCheck : undefined,
    dns_servers: fields.has("dns_servers") ? update.dnsServers : undefined,
    disabled: fields.has("disabled") ? update.disabled : undefined,
  });
  await reconfigureAttached(call, directory, row, update, set);
  // Last: whoever acts by a consent holds it after what it acts on.
  if (!fields.has("access")) return true;
  await setAccess(call, ref, update.access);
  return call.canSee(interfaceRef(row, (await grantsFor(call.tx, [row.interface_id])).get(row.interface_id)));
}

/** Bring what is attached to the new fields of its record, where hosts must know them. `row`: the record as it was; it is locked. */
async function reconfigureAttached(
  call: WriteCall,
  directory: InstanceDirectory,
  row: InterfaceRow,
  { fields, ...update }: CheckedUpdate,
  set: GroupSet | undefined,
): Promise<void> {
  const check = fields.has("source_dest_check") && update.sourceDestCheck !== row.source_dest_check ? update.sourceDestCheck : undefined;
  const given = set !== undefined && BigInt(set.groupSetId) !== row.group_set_id ? set.groupSetId : undefined;
  const servers = fields.has("dns_servers") && update.dnsServers.join() !== row.dns_servers.join() ? update.dnsServers : undefined;
  const disabled = fields.has("disabled") && update.disabled !== row.disabled ? update.disabled : undefined;
  if (check === undefined && given === undefined && servers === undefined && disabled === undefined) return;
  // Its rules as they are under its lock; those that it keeps are held, too, since its host is sent them again.
  const held = await holdGroupSets(call.tx, [given ?? Number(row.group_set_id)]);
  const groups = given === undefined ? undefined : held.get(given);
  const attached = await lockAttachments(call.tx, { interfaceIds: [row.interface_id] });
  const hosts = await directory.hosts(
    call.tx,
    attached.flatMap((one) => one.host_id ?? []),
  );
  const to = () => ({
    source_dest_check: check,
    dns_servers: servers,
    disabled,
    ...(groups === undefined ? {} : { group_set_id: BigInt(groups.groupSetId), ruleset_id: BigInt(groups.rulesetId) }),
  });
  await reconfigureLocked(call, attached, to, hosts);
}

async function setAccess(call: WriteCall, ref: ResourceRef, access: Access): Promise<void> {
  const accounts = ACCESS_LISTS.flatMap((list) => access[list].map((one) => one.accountId));
  const there = await existingAccounts(call.tx, accounts);
  const missing = accounts.find((account) => !there.has(account));
  if (missing !== undefined) throw notFound("account", missing);
  await requireTerms(call, ref, access);
  for (const list of ACCESS_LISTS) await setGrantees(call, ref, { action: ACCESS_ACTIONS[list], counter: COUNTED[list] }, access[list]);
}

/** What ends an attachment that keeps its record from being deleted. */
function remedyOf({ state, instance_id: instanceId, delete_when_detached: goes }: AttachmentRow): string {
  if (state !== AttachmentState.DETACHING) return `detach it from ${instanceId}`;
  return `its host is to let go of it first: wait until it is DETACHED, or force it${goes ? "; the record goes with it" : ""}`;
}

/** Delete a record that is attached to nothing. NOT_FOUND, ABORTED (STALE_ETAG), FAILED_PRECONDITION (HAS_DEPENDANTS). */
export async function deleteInterfaceRecord(call: WriteCall, interfaceId: string, etag: string): Promise<void> {
  const { ref } = await recordFor(call, interfaceId, "nivc:DeleteInterface");
  const row = await lockRecord(call, interfaceId);
  checkEtag(etag, row.row_version);
  const holders = await readAttachments(call.tx, { interfaceIds: [interfaceId] });
  const named = holders.map((holder) => ({ ...attachmentRef(holder), remedy: remedyOf(holder) }));
  const refusal = refusalOf(ref, { named, more: 0 }, call);
  if (refusal !== undefined) throw refusal;
  await deleteInterfaces(call, [interfaceId]);
  await revokeConsentsOf(call, [interfaceId]);
}
