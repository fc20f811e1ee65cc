import type { SetAddressesRequest } from "#gen/plenum/nivc/v1/interface_service.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { parseId } from "#lib/ids/ids.ts";
import type { Address } from "#lib/net/address.ts";
import { aborted, failedPrecondition } from "#lib/rpc/errors.ts";
import { checkEtag } from "../call/api.ts";
import type { WriteCall } from "../call/api.ts";
import { holdGroupSets, lockSubnet } from "../network/api.ts";
import { checkAllFit, chooseAddresses, textsOf } from "./choose-addresses.ts";
import { reconfigure } from "./core/attachment-state.ts";
import { addressInUse, Problems } from "./core/problems.ts";
import { checkAddresses } from "./in/spec.ts";
import { reconfigureLocked, standing } from "./move.ts";
import { replaceNamed } from "./out/address-store.ts";
import { exchangeAddresses, holdersOf, lockAttachments } from "./out/attachment-store.ts";
import { updateInterface } from "./out/interface-store.ts";
import type { AttachmentRow } from "./out/rows.ts";
import type { InstanceDirectory } from "./ports.ts";
import { lockRecord, recordFor } from "./update.ts";

const ACTION = "nivc:SetAddresses";
const FIELD = "private_addresses";

/** Other addresses for a record, with their form checked. */
export interface CheckedAddresses {
  readonly interfaceId: string;
  readonly etag: string;
  /** None: one is picked. */
  readonly addresses: readonly Address[];
}

/** INVALID_ARGUMENT. */
export function checkSetAddresses(request: SetAddressesRequest): CheckedAddresses {
  return {
    interfaceId: parseId("eni", request.interfaceId, "interface_id"),
    etag: request.etag,
    addresses: checkAddresses(request.privateAddresses, FIELD),
  };
}

/** The attachment takes its new addresses now; the old ones are nobody else's until its host has said that it gave them up (C7). */
async function exchange(call: WriteCall, row: AttachmentRow, addresses: readonly string[]): Promise<void> {
  if (row.state === AttachmentState.DETACHING) {
    throw failedPrecondition("WRONG_STATE", `${row.interface_id} is being detached (${row.attachment_id}): wait until that is over`, {
      state: "DETACHING",
    });
  }
  const plain = addresses.map((address) => address.split("/")[0] ?? "");
  if (await exchangeAddresses(call.tx, row, plain, reconfigure(standing(row)).generation)) return;
  const problems = new Problems();
  for (const holder of await holdersOf(call.tx, row.network_id, plain)) {
    if (holder.attachment_id === row.attachment_id) continue;
    problems.add(addressInUse(`${FIELD}[${plain.indexOf(holder.address)}]`, `is ${holder.address}`, holder));
  }
  problems.throwIfAny();
  throw aborted("CONFLICT", "the addresses were taken and let go while the call ran; repeat the call");
}

/**
 * Give a record other addresses of its subnet, under that subnet's lock (C9), and its attachment with it: one change for its host and one for
 * its network. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT, ABORTED (STALE_ETAG), FAILED_PRECONDITION (ADDRESS_IN_USE, WRONG_STATE),
 * RESOURCE_EXHAUSTED (SUBNET_EXHAUSTED).
 */
export async function setAddresses(call: WriteCall, directory: InstanceDirectory, wanted: CheckedAddresses): Promise<void> {
  const { interfaceId } = wanted;
  const { row: seen } = await recordFor(call, interfaceId, ACTION);
  const subnet = await lockSubnet(call.tx, seen.subnet_id);
  const row = await lockRecord(call, interfaceId);
  checkEtag(wanted.etag, row.row_version);
  if (subnet === undefined) throw new Error(`${interfaceId} is of a subnet that is not there`);
  const problems = new Problems();
  checkAllFit(wanted.addresses, subnet, FIELD, problems);
  problems.throwIfAny();
  const spec = { addresses: wanted.addresses, subnet, path: FIELD };
  const addresses = textsOf((await chooseAddresses(call, [spec])).get(spec) ?? [], subnet);
  if (addresses.join() === row.addresses.join()) return;
  await holdGroupSets(call.tx, [Number(row.group_set_id)]); // its host is sent its rules again
  const attached = await lockAttachments(call.tx, { interfaceIds: [interfaceId] });
  for (const one of attached) await exchange(call, one, addresses);
  await replaceNamed(call.tx, row, addresses);
  await updateInterface(call, row, { addresses });
  const hosts = await directory.hosts(
    call.tx,
    attached.flatMap((one) => one.host_id ?? []),
  );
  await reconfigureLocked(call, attached, () => ({ addresses }), hosts);
}
