import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import type { Calls } from "../call/api.ts";
import { securityGroupService } from "./in/security-group-service.ts";
import { subnetService } from "./in/subnet-service.ts";
import { vpcService } from "./in/vpc-service.ts";
import { Hooks } from "./out/hooks.ts";
import type { BlockedKind, BlockersOf, NamedAddressCounts, RulesetsChangedHook } from "./out/hooks.ts";

export { refusalOf } from "./core/blockers.ts";
export { securityGroupRef, subnetRef, vpcRef } from "./core/refs.ts";
export type { Blocker, GroupSet, Rule, RuleDirection, RuleProtocol, SecurityGroup, Subnet, Vpc } from "./core/model.ts";
export { networkMigrations } from "./migrations.ts";
export { getVpc } from "./out/vpcs.ts";
export { getSubnet, lockSubnet } from "./out/subnets.ts";
export { getSecurityGroups, holdSecurityGroups } from "./out/groups.ts";
export { groupSetFor, holdGroupSets, rulesetItem, rulesetItems } from "./out/group-sets.ts";
export type { RulesetChange } from "./out/group-sets.ts";
export type { BlockedKind, BlockersOf, NamedAddressCounts, RulesetsChangedHook } from "./out/hooks.ts";

/** The module as main.ts holds it. Later modules register what network must not import. */
export interface NetworkModule {
  /** VpcService, SubnetService, SecurityGroupService: for the API listener. */
  readonly bindings: readonly ServiceBinding[];
  onRulesetsChanged(hook: RulesetsChangedHook): void;
  registerBlockers(kind: BlockedKind, blockersOf: BlockersOf): void;
  countNamedAddresses(counts: NamedAddressCounts): void;
}

export function createNetwork({ calls, pages }: { calls: Calls; pages: PageTokens }): NetworkModule {
  const hooks = new Hooks();
  const deps = { calls, pages, hooks };
  return {
    bindings: [vpcService(deps), subnetService(deps), securityGroupService(deps)],
    onRulesetsChanged: (hook) => hooks.onRulesetsChanged(hook),
    registerBlockers: (kind, blockersOf) => hooks.registerBlockers(kind, blockersOf),
    countNamedAddresses: (counts) => hooks.countNamedAddresses(counts),
  };
}
