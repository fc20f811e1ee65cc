import { InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import type { InterfaceFilter } from "#gen/plenum/nivc/v1/interface_service.ts";
import { parseId } from "#lib/ids/ids.ts";
import { formatAddress } from "#lib/net/address.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { soughtName } from "#lib/rpc/name.ts";
import { addressField } from "#lib/rpc/validate.ts";
import type { Tx } from "../../call/api.ts";
import { carryingHosts } from "../out/attachment-store.ts";
import type { Shown } from "../out/interface-store.ts";
import type { InstanceDirectory } from "../ports.ts";

/** What a list or a watch is to show, its form right. */
export type CheckedFilter = Omit<Shown, "visibleTo" | "silentHosts">;

/** A filter whose form is right; an absent one shows all. INVALID_ARGUMENT names the field. */
export function checkFilter(filter: InterfaceFilter | undefined): CheckedFilter {
  const { ownerAccount = "", vpcId = "", subnetId = "", instanceId = "", state = InterfaceState.UNSPECIFIED } = filter ?? {};
  const { privateAddress = "", securityGroupId = "", tagKey = "", tagValue } = filter ?? {};
  if (ownerAccount !== "") parseId("acct", ownerAccount, "filter.owner_account");
  if (vpcId !== "") parseId("vpc", vpcId, "filter.vpc_id");
  if (subnetId !== "") parseId("subnet", subnetId, "filter.subnet_id");
  if (instanceId !== "") parseId("i", instanceId, "filter.instance_id");
  if (securityGroupId !== "") parseId("sg", securityGroupId, "filter.security_group_id");
  if (!(Object.values(InterfaceState) as number[]).includes(state))
    throw invalidArgument("filter.state", `is ${state}`, "give AVAILABLE, IN_USE, DISABLED or IN_REPAIR");
  if (tagKey === "" && tagValue !== undefined) throw invalidArgument("filter.tag_value", "has no key", "give filter.tag_key, too");
  return {
    ...{ ownerAccount, vpcId, subnetId, instanceId, securityGroupId, state },
    address: privateAddress === "" ? "" : formatAddress(addressField(privateAddress, "filter.private_address", 4)),
    tagKey: soughtName(tagKey, "filter.tag_key"),
    tagValue: tagValue === undefined ? undefined : soughtName(tagValue, "filter.tag_value", { max: 256 }),
  };
}

/** What it shows depends on which hosts are silent. */
export const bySilence = ({ state }: CheckedFilter): boolean => state === InterfaceState.IN_USE || state === InterfaceState.IN_REPAIR;

/** Hosts that are silent now, where what the filter shows depends on them. */
export async function silentHosts(tx: Tx, directory: InstanceDirectory, filter: CheckedFilter): Promise<readonly string[]> {
  if (!bySilence(filter)) return [];
  const hosts = await directory.hosts(tx, await carryingHosts(tx));
  return [...hosts.values()].filter((host) => host.silent).map((host) => host.hostId);
}
