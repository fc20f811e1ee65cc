import type { Command } from "commander";
import { InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import type { InterfaceFilter } from "#gen/plenum/nivc/v1/interface_service.ts";
import { parseWord } from "../values.ts";

const STATES = {
  available: InterfaceState.AVAILABLE,
  "in-use": InterfaceState.IN_USE,
  disabled: InterfaceState.DISABLED,
  "in-repair": InterfaceState.IN_REPAIR,
};

/** What records a list or a watch is to show. */
export interface FilterOptions {
  owner: string;
  vpc: string;
  subnet: string;
  instance: string;
  address: string;
  group: string;
  tag?: string;
  state?: string;
}

/** The flags of FilterOptions. */
export function addFilterOptions(command: Command, ownerHelp: string): Command {
  return command
    .option("--owner <account>", ownerHelp, "")
    .option("--vpc <vpc>", "only in this VPC", "")
    .option("--subnet <subnet>", "only in this subnet", "")
    .option("--instance <instance>", "only attached to this instance", "")
    .option("--address <ip>", "only with this private address", "")
    .option("--group <sg>", "only carrying this group", "")
    .option("--tag <key[=value]>", "only with this tag")
    .option("--state <state>", `only in this state: ${Object.keys(STATES).join(", ")}`);
}

/** As the contract has it. @throws for a state that there is not */
export function filterOf(options: FilterOptions): Partial<InterfaceFilter> {
  return {
    ownerAccount: options.owner,
    vpcId: options.vpc,
    subnetId: options.subnet,
    instanceId: options.instance,
    privateAddress: options.address,
    securityGroupId: options.group,
    ...tagFilter(options.tag),
    ...(options.state === undefined ? {} : { state: parseWord(STATES, options.state, "state") }),
  };
}

/** "key" or "key=value". */
function tagFilter(tag: string | undefined): { tagKey?: string; tagValue?: string } {
  if (tag === undefined) return {};
  const at = tag.indexOf("=");
  return at < 0 ? { tagKey: tag } : { tagKey: tag.slice(0, at), tagValue: tag.slice(at + 1) };
}
