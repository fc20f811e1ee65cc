import { CreateSecurityGroupResponse, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import type { SecurityGroup as SecurityGroupMessage } from "#gen/plenum/network/v1/security_group.ts";
import { newId, parseId } from "#lib/ids/ids.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { failedPrecondition, notFound } from "#lib/rpc/errors.ts";
import { descriptionField, displayName } from "#lib/rpc/name.ts";
import { required } from "#lib/rpc/validate.ts";
import { checkEtag, maskField, openPage, storedAs, storedNothing, visibleAccount } from "../../call/api.ts";
import type { WriteCall } from "../../call/api.ts";
import { requireRoom } from "../../identity/api.ts";
import { allBlockers, refusalOf } from "../core/blockers.ts";
import type { SecurityGroup } from "../core/model.ts";
import { securityGroupRef } from "../core/refs.ts";
import {
  deleteSecurityGroup,
  describeGroup,
  getSecurityGroups,
  groupCount,
  groupsNaming,
  insertSecurityGroup,
  listSecurityGroups,
} from "../out/groups.ts";
import { getVpc } from "../out/vpcs.ts";
import { changeRules, requirePeers } from "./change-rules.ts";
import { lockedGroupFor, lockedVpcFor } from "./deps.ts";
import type { Deps } from "./deps.ts";
import { groupMessages } from "./messages.ts";
import { decodeRules } from "./rules.ts";

async function requireDeletable(call: WriteCall, group: SecurityGroup, { hooks }: Pick<Deps, "hooks">): Promise<void> {
  const { securityGroupId: id, vpcId } = group;
  const vpc = await getVpc(call.tx, vpcId);
  if (vpc?.defaultSecurityGroupId === id) {
    throw failedPrecondition("HAS_DEPENDANTS", `${id} is the default group of ${vpcId} and goes with it: delete that VPC`, {
      blockers: vpcId,
      more: "0",
    });
  }
  const naming = await groupsNaming(call.tx, vpcId, [id]);
  const others = naming.filter((other) => other.securityGroupId !== id);
  const named = others.map((other) => ({ ...securityGroupRef(other), remedy: "take out its rules that name this one" }));
  const blockers = allBlockers([await hooks.blockersOf(call.tx, "security_group", id), { named, more: 0 }]);
  const refusal = refusalOf(securityGroupRef(group), blockers, call);
  if (refusal !== undefined) throw refusal;
}

export function securityGroupService({ calls, pages, hooks }: Deps): ServiceBinding {
  const read = (context: ServerContext, id: string, waitedSeconds?: number): Promise<SecurityGroupMessage | undefined> =>
    calls.read(context, context.action, async (call) => {
      const [group] = await getSecurityGroups(call.tx, [id]);
      if (group === undefined) throw notFound("security group", id);
      call.requireSee(securityGroupRef(group));
      return (await groupMessages(call.tx, hooks, [group], waitedSeconds))[0];
    });

  return bind(SecurityGroupServiceDefinition, {
    async createSecurityGroup(request, context) {
      const vpcId = parseId("vpc", request.vpcId, "vpc_id");
      const name = displayName(request.name, "name", { min: 1, max: 128 });
      const description = descriptionField(request.description, "description");
      const rules = decodeRules(request.rules, "rules");
      const options = { action: context.action, requestId: request.requestId, request, ...storedAs(CreateSecurityGroupResponse) };
      const { result } = await calls.write(context, options, async (call): Promise<CreateSecurityGroupResponse> => {
        const { ownerAccount } = await lockedVpcFor(call, context.action, vpcId);
        await requirePeers(call, vpcId, rules);
        await requireRoom(call.tx, ownerAccount, "security-groups-per-vpc", await groupCount(call.tx, vpcId));
        const ids = { securityGroupId: newId("sg"), vpcId, ownerAccount, createdBy: call.subject.principalId };
        const group = await insertSecurityGroup(call.tx, { ...ids, name, description, rules });
        call.concerns(securityGroupRef(group));
        const [securityGroup] = await groupMessages(call.tx, hooks, [group]);
        return { securityGroup };
      });
      return result;
    },

    async getSecurityGroup(request, context) {
      const id = parseId("sg", request.securityGroupId, "security_group_id");
      return { securityGroup: await read(context, id) };
    },

    async listSecurityGroups(request, context) {
      const vpcId = request.vpcId === "" ? "" : parseId("vpc", request.vpcId, "vpc_id");
      const page = openPage(pages, context, request, { vpcId });
      return calls.read(context, context.action, async (call) => {
        const rows = await listSecurityGroups(call.tx, {
          ownerAccount: visibleAccount(call.subject),
          vpcId,
          after: page.after,
          limit: page.limit,
        });
        const { items, nextPageToken } = page.cut(rows, (group) => group.securityGroupId);
        return { securityGroups: await groupMessages(call.tx, hooks, items), nextPageToken };
      });
    },

    ...changeRules({ calls, hooks }, read),

    async updateSecurityGroup(request, context) {
      const wanted = required(request.securityGroup, "security_group");
      const id = parseId("sg", wanted.securityGroupId, "security_group.security_group_id");
      const fields = maskField(request.updateMask, ["name", "description"]);
      const name = fields.has("name") ? displayName(wanted.name, "security_group.name", { min: 1, max: 128 }) : undefined;
      const description = fields.has("description") ? descriptionField(wanted.description, "security_group.description") : undefined;
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result } = await calls.write(context, options, async (call) => {
        const group = await lockedGroupFor(call, context.action, id);
        checkEtag(wanted.etag, group.version);
        const now = await describeGroup(call.tx, { ...group, name: name ?? group.name, description: description ?? group.description });
        return (await groupMessages(call.tx, hooks, [now]))[0];
      });
      return { securityGroup: result ?? (await read(context, id)) };
    },

    async deleteSecurityGroup(request, context) {
      const id = parseId("sg", request.securityGroupId, "security_group_id");
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      await calls.write(context, options, async (call) => {
        const group = await lockedGroupFor(call, context.action, id);
        checkEtag(request.etag, group.version);
        await requireDeletable(call, group, { hooks });
        await deleteSecurityGroup(call.tx, id);
      });
      return {};
    },
  });
}
