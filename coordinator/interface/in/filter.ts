import { InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import type { InterfaceFilter } from "#gen/plenum/nivc/v1/interface_service.ts";
import { parseId } from "#lib/ids/ids.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import type { Shown } from "../out/interface-store.ts";

/** A filter whose form is right; an absent one shows all. INVALID_ARGUMENT. */
export function checkFilter(filter: InterfaceFilter | undefined): InterfaceFilter {
  const { ownerAccount = "", vpcId = "", subnetId = "", instanceId = "", state = InterfaceState.UNSPECIFIED } = filter ?? {};
  if (ownerAccount !== "") parseId("acct", ownerAccount, "filter.owner_account");
  if (vpcId !== "") parseId("vpc", vpcId, "filter.vpc_id");
  if (subnetId !== "") parseId("subnet", subnetId, "filter.subnet_id");
  if (instanceId !== "") parseId("i", instanceId, "filter.instance_id");
  if (!(Object.values(InterfaceState) as number[]).includes(state))
    throw invalidArgument("filter.state", `is ${state}`, "give AVAILABLE or IN_USE");
  return { ownerAccount, vpcId, subnetId, instanceId, state };
}

/** The filter as the tables know it. */
export function shownBy({ state, ...filter }: InterfaceFilter): Omit<Shown, "visibleTo"> {
  return { ...filter, attached: state === InterfaceState.UNSPECIFIED ? undefined : state === InterfaceState.IN_USE };
}
