import type { Kysely } from "kysely";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { PageTokens } from "#lib/rpc/page-token.ts";
import type { Calls } from "../call/api.ts";
import { forgetGroupSets } from "./in/forget-group-sets.ts";
import { securityGroupService } from "./in/security-group-service.ts";
import { subnetService } from "./in/subnet-service.ts";
import { vpcService } from "./in/vpc-service.ts";
import { GroupSetsMissing, internGroupSets } from "./out/group-sets.ts";
import type { WantedGroupSet } from "./out/group-sets.ts";
import { Hooks } from "./out/hooks.ts";
import type { BlockedKind, BlockersOf, Enforcers, NamedAddressCounts, PeersChangedHook, RulesetsChangedHook } from "./out/hooks.ts";

export { forgetGroupSets } from "./in/forget-group-sets.ts";
export { allBlockers, NAMED_BLOCKERS, refusalOf } from "./core/blockers.ts";
export { securityGroupRef, subnetRef, vpcRef } from "./core/refs.ts";
export type { Blocker, Blockers, GroupSet, Rule, RuleDirection, RuleProtocol, SecurityGroup, Subnet, Vpc } from "./core/model.ts";
export { networkMigrations } from "./migrations.ts";
export { getVpc } from "./out/vpcs.ts";
export { getSubnet, lockSubnet } from "./out/subnets.ts";
export { getSecurityGroups, holdSecurityGroups } from "./out/groups.ts";
export { GroupSetsMissing, groupSetFor, holdGroupSets } from "./out/group-sets.ts";
export type { WantedGroupSet } from "./out/group-sets.ts";
export type { PeerChange } from "./out/peer-sets.ts";
export type { RulesetChange } from "./out/renew-rulesets.ts";
export { compiledRulesets, withPeerSets } from "./out/rulesets.ts";
export type {
  BlockedKind,
  BlockersOf,
  Enforcement,
  Enforcers,
  NamedAddressCounts,
  PeersChangedHook,
  RulesetsChangedHook,
} from "./out/hooks.ts";

/** The module as main.ts holds it. Later modules register what network must not import. */
export interface NetworkModule {
  /** VpcService, SubnetService, SecurityGroupService: for the API listener. */
  readonly bindings: readonly ServiceBinding[];
  onRulesetsChanged(hook: RulesetsChangedHook): void;
  onPeersChanged(hook: PeersChangedHook): void;
  registerBlockers(kind: BlockedKind, blockersOf: BlockersOf): void;
  countNamedAddresses(counts: NamedAddressCounts): void;
  enforceBy(enforcers: Enforcers): void;
  /**
   * Runs `work`, a whole call; whenever it finds that a set of groups was never used, makes the set and runs it again. So the locks under
   * which other sets' rules become new are never taken by a transaction that holds others already.
   */
  withGroupSets<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Forgets sets that nothing has had for a while, a few a transaction. Any number of copies may do it. */
  forgetGroupSets(signal?: AbortSignal): Promise<void>;
}

/** Sets that one call can find missing one after the other; a batch names all of its own at once. */
const MAX_ROUNDS = 8;

export function createNetwork({ calls, pages, db }: { calls: Calls; pages: PageTokens; db: Kysely<unknown> }): NetworkModule {
  const hooks = new Hooks();
  const deps = { calls, pages, hooks };
  const intern = (wanted: readonly WantedGroupSet[]) =>
    calls.internal(async (call) => {
      const { rulesets, peers } = await internGroupSets(call.tx, wanted);
      await hooks.rulesetsChanged(call, rulesets);
      await hooks.peersChanged(call, peers);
    });
  return {
    bindings: [vpcService(deps), subnetService(deps), securityGroupService(deps)],
    onRulesetsChanged: (hook) => hooks.onRulesetsChanged(hook),
    onPeersChanged: (hook) => hooks.onPeersChanged(hook),
    registerBlockers: (kind, blockersOf) => hooks.registerBlockers(kind, blockersOf),
    async withGroupSets(work) {
      for (let round = 1; ; round += 1) {
        try {
          return await work();
        } catch (error) {
          if (!(error instanceof GroupSetsMissing) || round > MAX_ROUNDS) throw error;
          await intern(error.wanted);
        }
      }
    },
    forgetGroupSets: (signal) => forgetGroupSets(calls, db, (call, changes) => hooks.peersChanged(call, changes), signal),
    countNamedAddresses: (counts) => hooks.countNamedAddresses(counts),
    enforceBy: (enforcers) => hooks.enforceBy(enforcers),
  };
}
