import { Status } from "nice-grpc-common";
import type { Duration } from "#gen/google/protobuf/duration.ts";
import type { SecurityGroup as SecurityGroupMessage, SecurityGroupRule } from "#gen/plenum/network/v1/security_group.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { parseId } from "#lib/ids/ids.ts";
import type { ServerContext } from "#lib/rpc/definition.ts";
import { PlenumError } from "#lib/rpc/errors.ts";
import { checkEtag, storedNothing, waitField } from "../../call/api.ts";
import type { WriteCall } from "../../call/api.ts";
import type { Rule, SecurityGroup } from "../core/model.ts";
import { MAX_RULES, peerGroups, sameRules, withoutRules, withRules } from "../core/rules.ts";
import { holdSecurityGroups, updateRules } from "../out/groups.ts";
import { setsWith } from "../out/peer-sets.ts";
import { renewRulesets } from "../out/renew-rulesets.ts";
import { lockedGroupFor } from "./deps.ts";
import type { Deps } from "./deps.ts";
import { checkPeers, decodeRules } from "./rules.ts";

/** What the three requests that change rules have in common. */
interface ChangeRulesRequest {
  readonly securityGroupId: string;
  readonly rules: readonly SecurityGroupRule[];
  readonly etag: string;
  readonly requestId: string;
  readonly wait: WaitFor;
  readonly waitTimeout?: Duration | undefined;
}

/** Groups that the rules name: of this VPC, and there until the transaction ends. The VPC is locked. */
export async function requirePeers(call: WriteCall, vpcId: string, rules: readonly Rule[]): Promise<void> {
  const named = peerGroups(rules);
  if (named.length === 0) return;
  const there = (await holdSecurityGroups(call.tx, named)).filter((group) => group.vpcId === vpcId);
  checkPeers(rules, "rules", vpcId, new Set(there.map((group) => group.securityGroupId)));
}

/** The group's rules with those that were sent. */
function added(group: SecurityGroup, rules: readonly Rule[]): Rule[] {
  const all = withRules(group.rules, rules);
  if (all.length <= MAX_RULES) return all;
  const id = group.securityGroupId;
  throw new PlenumError({
    code: Status.RESOURCE_EXHAUSTED,
    reason: "LIMIT_EXCEEDED",
    message: `${id} would have ${all.length} rules, ${MAX_RULES} are allowed; remove some, or use another group`,
    facts: { limit: String(MAX_RULES), count: String(group.rules.length), security_group_id: id },
  });
}

/** The group's rules without those that were sent. */
function removed(group: SecurityGroup, rules: readonly Rule[]): Rule[] {
  const found = withoutRules(group.rules, rules);
  if ("left" in found) return found.left;
  const id = `rules[${found.missing}]`;
  const message = `${id} is no rule of ${group.securityGroupId}; read the group for those that it has`;
  throw new PlenumError({ code: Status.NOT_FOUND, reason: "RESOURCE_NOT_FOUND", message, facts: { kind: "rule", id } });
}

/** Reads a group for its caller; `waitedSeconds`: who asks waited this long for its rules. */
type ReadGroup = (context: ServerContext, id: string, waitedSeconds?: number) => Promise<SecurityGroupMessage | undefined>;

/** The RPCs that change what a group allows. Under its lock, so that of two that come at once each finds what the other made of it. */
export function changeRules({ calls, hooks }: Pick<Deps, "calls" | "hooks">, read: ReadGroup) {
  const change =
    (least: number, become: (group: SecurityGroup, rules: readonly Rule[]) => readonly Rule[]) =>
    async (request: ChangeRulesRequest, context: ServerContext): Promise<{ securityGroup: SecurityGroupMessage | undefined }> => {
      const id = parseId("sg", request.securityGroupId, "security_group_id");
      const sent = decodeRules(request.rules, "rules", least);
      const { wait, timeoutMs } = waitField(request, WaitFor.COMMITTED);
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      await calls.write(context, options, async (call) => {
        const group = await lockedGroupFor(call, context.action, id);
        checkEtag(request.etag, group.version);
        const rules = become(group, sent);
        if (sameRules(group.rules, rules)) return;
        await requirePeers(call, group.vpcId, sent);
        await updateRules(call.tx, id, rules);
        await hooks.rulesetsChanged(call, await renewRulesets(call.tx, [id]));
      });
      if (wait === WaitFor.COMMITTED) return { securityGroup: await read(context, id) };
      const sets = await calls.read(context, context.action, async (call) => (await setsWith(call.tx, [id])).get(id) ?? []);
      await hooks.enforcers.wait(sets, timeoutMs, context.signal);
      return { securityGroup: await read(context, id, timeoutMs / 1_000) };
    };
  return {
    replaceSecurityGroupRules: change(0, (_group, rules) => rules),
    addSecurityGroupRules: change(1, added),
    removeSecurityGroupRules: change(1, removed),
  };
}
