import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { ResourceRef, Tx, WriteCall } from "../call/api.ts";
import type { Blocker, SecurityGroup, Subnet, Vpc } from "./core/model.ts";
import type { RulesetChange } from "./out/group-sets.ts";

export type { Blocker, GroupSet, Rule, RuleDirection, RuleProtocol, SecurityGroup, Subnet, Vpc } from "./core/model.ts";
export { networkMigrations } from "./migrations.ts";
export { getVpc } from "./out/vpcs.ts";
export { getSubnet, lockSubnet } from "./out/subnets.ts";
export { getSecurityGroups, holdSecurityGroups } from "./out/groups.ts";
export { groupSetFor, rulesetItem, rulesetItems } from "./out/group-sets.ts";
export type { RulesetChange } from "./out/group-sets.ts";

export const vpcRef = (vpc: Pick<Vpc, "vpcId" | "ownerAccount">): ResourceRef => ({
  kind: "VPC",
  id: vpc.vpcId,
  ownerAccount: vpc.ownerAccount,
});
export const subnetRef = (subnet: Pick<Subnet, "subnetId" | "ownerAccount">): ResourceRef => ({
  kind: "subnet",
  id: subnet.subnetId,
  ownerAccount: subnet.ownerAccount,
});
export const securityGroupRef = (group: Pick<SecurityGroup, "securityGroupId" | "ownerAccount">): ResourceRef => ({
  kind: "security group",
  id: group.securityGroupId,
  ownerAccount: group.ownerAccount,
});

/** Called inside the transaction that replaced rules, once for all sets; not at all when no set's rules became others. */
export type RulesetsChangedHook = (call: WriteCall, changes: readonly RulesetChange[]) => Promise<void>;

/** What keeps this resource from being deleted; called inside the deleting transaction, with the resource locked. */
export type BlockersOf = (tx: Tx, id: string) => Promise<readonly Blocker[]>;

/** How many different addresses of each subnet records name now. Subnets without any may be left out. */
export type NamedAddressCounts = (tx: Tx, subnetIds: readonly string[]) => Promise<ReadonlyMap<string, bigint>>;

export type BlockedKind = "vpc" | "subnet" | "security_group";

/** The module as main.ts holds it. Later modules register what network must not import. */
export interface NetworkModule {
  /** VpcService, SubnetService, SecurityGroupService: for the API listener. */
  readonly bindings: readonly ServiceBinding[];
  onRulesetsChanged(hook: RulesetsChangedHook): void;
  registerBlockers(kind: BlockedKind, blockersOf: BlockersOf): void;
  countNamedAddresses(counts: NamedAddressCounts): void;
}
