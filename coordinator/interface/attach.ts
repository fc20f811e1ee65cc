import { together } from "#lib/db/together.ts";
import { newId } from "#lib/ids/ids.ts";
import { aborted, notFound } from "#lib/rpc/errors.ts";
import type { Tx, WriteCall } from "../call/api.ts";
import { holdGroupSets } from "../network/api.ts";
import { assignDevices, checkStates } from "./attach-checks.ts";
import { authoriseAttach, countAttachment } from "./attach-rights.ts";
import type { WantedAttachment } from "./attach-checks.ts";
import { prefixOf } from "./core/items.ts";
import type { InstanceDirectory, LockedInstance, PlacedHost } from "./ports.ts";
import { addressInUse, Problems } from "./core/problems.ts";
import { holdersOf, insertAttachments, readHolders, takeAddresses } from "./out/attachment-store.ts";
import type { Holder, NewAttachment } from "./out/attachment-store.ts";
import { tellHosts, tellNetworks } from "./out/changes.ts";
import { lockInterfaces, readInterfaces } from "./out/interface-store.ts";
import type { AttachmentRow } from "./out/rows.ts";

/**
 * Throws for addresses that others hold, by index. Nothing else can have been in the way: instances and records are locked, and were
 * looked at under their locks. Returns when nobody holds any of them now: a detach ended in between.
 */
async function explainConflicts(call: WriteCall, wanted: readonly WantedAttachment[], rows: readonly NewAttachment[]): Promise<void> {
  const problems = new Problems();
  const plain = (address: string): string => prefixOf(address).split("/")[0] ?? "";
  const held = new Map<string, Holder>();
  for (const [networkId, own] of Map.groupBy(rows, (row) => row.network_id)) {
    const addresses = own.flatMap((row) => row.addresses.map(plain));
    for (const holder of await holdersOf(call.tx, networkId, addresses)) held.set(`${networkId} ${holder.address}`, holder);
  }
  for (const [index, row] of rows.entries()) {
    const other = (address: string) => {
      const holder = held.get(`${row.network_id} ${address}`);
      return holder?.attachment_id === row.attachment_id ? undefined : holder;
    };
    const address = row.addresses.map(plain).find((one) => other(one) !== undefined);
    if (address === undefined) continue;
    const holder = other(address);
    if (holder !== undefined) problems.add(addressInUse(`${wanted[index]?.path ?? ""}.interface_id`, `has ${address}`, holder));
  }
  problems.throwIfAny();
}

/** What was there when it was asked for, and went before it was locked. NOT_FOUND. */
function requireThere(
  wanted: readonly WantedAttachment[],
  rows: ReadonlyMap<string, unknown>,
  instances: ReadonlyMap<string, LockedInstance>,
): void {
  for (const { interfaceId, instanceId } of wanted) {
    if (!rows.has(interfaceId)) throw notFound("interface", interfaceId);
    if (!instances.has(instanceId)) throw notFound("instance", instanceId);
  }
}

/** Of the instances, read where they are not known. */
async function ownersOf(
  tx: Tx,
  directory: InstanceDirectory,
  known: ReadonlyMap<string, LockedInstance>,
  unknown: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ...[...known.values()].map((one): [string, string] => [one.instanceId, one.ownerAccount]),
    ...(unknown.length === 0 ? [] : await directory.owners(tx, unknown)),
  ]);
}

/**
 * Attach in the caller's transaction: all or none. Instances that the caller has locked already come in `known`. Answers the rows in
 * the order asked for.
 */
export async function attachInterfaces(
  call: WriteCall,
  directory: InstanceDirectory,
  wanted: readonly WantedAttachment[],
  known: ReadonlyMap<string, LockedInstance> = new Map(),
): Promise<AttachmentRow[]> {
  const instanceIds = [...new Set(wanted.map((one) => one.instanceId))];
  const unknown = instanceIds.filter((id) => !known.has(id));
  const ids = [...new Set(wanted.map((one) => one.interfaceId))];
  const [owners, seen] = await together(call.tx, (tx) => Promise.all([ownersOf(tx, directory, known, unknown), readInterfaces(tx, ids)]));
  const records = await authoriseAttach(call, wanted, owners, seen);
  // In this order: what is read is read under the locks before it.
  const [locked, rows, existing] = await together(call.tx, (tx) =>
    Promise.all([
      unknown.length === 0 ? new Map<string, LockedInstance>() : directory.lock(tx, unknown),
      lockInterfaces(tx, ids),
      readHolders(tx, ids, instanceIds),
    ]),
  );
  const instances = new Map([...known, ...locked]);
  requireThere(wanted, rows, instances);
  for (const record of records) await countAttachment(call, record);

  const problems = new Problems();
  checkStates(wanted, rows, instances, existing, problems);
  const devices = assignDevices(wanted, existing, problems);
  problems.throwIfAny();
  const sets = await holdGroupSets(
    call.tx,
    [...rows.values()].map((row) => Number(row.group_set_id)),
  );

  const given = wanted.map((one, index): NewAttachment => {
    const row = rows.get(one.interfaceId);
    const instance = instances.get(one.instanceId);
    const set = row === undefined ? undefined : sets.get(Number(row.group_set_id));
    if (row === undefined || instance === undefined || set === undefined) throw new Error("what was locked is missing");
    return {
      attachment_id: newId("eni-attach"),
      interface_id: row.interface_id,
      interface_owner: row.owner_account,
      instance_id: one.instanceId,
      instance_owner: instance.ownerAccount,
      attachment_owner: call.subject.accountId ?? instance.ownerAccount,
      created_by: call.subject.principalId,
      device_index: devices[index] ?? 0,
      delete_on_terminate: one.deleteOnTerminate,
      host_id: instance.host?.hostId ?? null,
      network_id: row.network_id,
      vni: row.vni,
      addresses: row.addresses,
      gateway: row.gateway,
      group_set_id: BigInt(set.groupSetId),
      ruleset_id: BigInt(set.rulesetId),
      source_dest_check: row.source_dest_check,
      dns_servers: row.dns_servers,
    };
  });
  const { made, addresses } = await insertAttachments(call, given);
  const asked = given.reduce((sum, row) => sum + row.addresses.length, 0);
  if (made.length < given.length || addresses < asked) {
    await explainConflicts(call, wanted, given);
    const more = await takeAddresses(call.tx, made);
    if (made.length < given.length || addresses + more < asked)
      throw aborted("CONFLICT", "the addresses were taken and let go while the call ran; repeat the call");
  }
  const byId = new Map(made.map((row) => [row.attachment_id, row]));
  const inOrder = given.flatMap((row) => byId.get(row.attachment_id) ?? []);
  const placed = inOrder.filter((row) => row.host_id !== null);
  const hosts = new Map(
    [...instances.values()].flatMap(({ host }): [string, PlacedHost][] => (host === undefined ? [] : [[host.hostId, host]])),
  );
  await tellHosts(call, placed);
  tellNetworks(call, placed, hosts);
  return inOrder;
}
