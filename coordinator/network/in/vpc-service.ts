import { CreateVpcResponse, VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import type { CreateVpcRequest } from "#gen/plenum/network/v1/vpc.ts";
import { newId, parseId } from "#lib/ids/ids.ts";
import { formatCidr } from "#lib/net/cidr.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { invalidArgument, notFound } from "#lib/rpc/errors.ts";
import { displayName } from "#lib/rpc/name.ts";
import { cidrField, required } from "#lib/rpc/validate.ts";
import { checkEtag, maskField, openPage, slug, storedAs, storedNothing, tagsField, visibleAccount } from "../../call/api.ts";
import type { WriteCall } from "../../call/api.ts";
import { accountRef, countUse, requireAccount } from "../../identity/api.ts";
import { requireZone } from "../../topology/api.ts";
import { allBlockers, refusalOf } from "../core/blockers.ts";
import type { Vpc } from "../core/model.ts";
import { securityGroupRef, subnetRef, vpcRef } from "../core/refs.ts";
import { DEFAULT_RULES } from "../core/rules.ts";
import { blockFault, SUBNET_PREFIX, VPC_PREFIX, vpcBlockFault } from "../core/subnet-block.ts";
import { groupsOfVpc, insertSecurityGroup } from "../out/groups.ts";
import { insertSubnet, subnetsOfVpc } from "../out/subnets.ts";
import { deleteVpc, getVpc, insertVpc, listVpcs, updateVpc } from "../out/vpcs.ts";
import { lockedVpcFor } from "./deps.ts";
import type { Deps } from "./deps.ts";
import { encodeSubnet, encodeVpc } from "./messages.ts";

interface Wanted {
  readonly ownerAccount: string;
  readonly name: string;
  readonly cidrBlock: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly subnetBlock: string;
  readonly zoneId: string;
}

function ownerOf(request: CreateVpcRequest, context: ServerContext): string {
  if (request.ownerAccount !== "") return parseId("acct", request.ownerAccount, "owner_account");
  if (context.caller.accountId !== "") return context.caller.accountId;
  throw invalidArgument("owner_account", "is missing", "an operator must name the account that will own the VPC");
}

function decode(request: CreateVpcRequest, context: ServerContext): Wanted {
  const first = required(request.firstSubnet, "first_subnet");
  const vpcBlock = cidrField(request.cidrBlock, "cidr_block", VPC_PREFIX);
  const reserved = vpcBlockFault(vpcBlock);
  if (reserved !== undefined) throw invalidArgument("cidr_block", reserved, "choose one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
  const cidrBlock = formatCidr(vpcBlock);
  const subnetBlock = cidrField(first.cidrBlock, "first_subnet.cidr_block", SUBNET_PREFIX);
  const fault = blockFault(cidrBlock, subnetBlock);
  if (fault !== undefined) throw invalidArgument("first_subnet.cidr_block", fault, "choose a part of it");
  return {
    ownerAccount: ownerOf(request, context),
    name: displayName(request.name, "name"),
    cidrBlock,
    tags: tagsField(request.tags, "tags"),
    subnetBlock: formatCidr(subnetBlock),
    zoneId: first.zoneId === "" ? "" : slug(first.zoneId, "first_subnet.zone_id"),
  };
}

async function create(call: WriteCall, action: string, wanted: Wanted): Promise<CreateVpcResponse> {
  const { ownerAccount } = wanted;
  call.require(action, accountRef(ownerAccount));
  await requireAccount(call.tx, ownerAccount);
  if (wanted.zoneId !== "") await requireZone(call.tx, wanted.zoneId);
  // Before a number is taken for it: what is refused uses none up.
  await countUse(call.tx, ownerAccount, "vpcs-per-day", 1);
  await countUse(call.tx, ownerAccount, "vpcs", 1);
  const [vpcId, securityGroupId, createdBy] = [newId("vpc"), newId("sg"), call.subject.principalId];
  const vpc = await insertVpc(call.tx, { ...wanted, vpcId, createdBy, defaultSecurityGroupId: securityGroupId });
  const common = { vpcId, ownerAccount, createdBy };
  await insertSecurityGroup(call.tx, {
    ...common,
    securityGroupId,
    name: "default",
    description: "of interfaces that name no group",
    rules: DEFAULT_RULES,
  });
  const subnet = await insertSubnet(call.tx, {
    ...common,
    subnetId: newId("subnet"),
    name: "",
    cidrBlock: wanted.subnetBlock,
    zoneId: wanted.zoneId,
  });
  call.concerns(vpcRef(vpc));
  return { vpc: encodeVpc(vpc), firstSubnet: encodeSubnet(subnet, 0n) };
}

export function vpcService({ calls, pages, hooks }: Deps): ServiceBinding {
  const read = (context: ServerContext, vpcId: string): Promise<Vpc> =>
    calls.read(context, context.action, async (call) => {
      const vpc = await getVpc(call.tx, vpcId);
      if (vpc === undefined) throw notFound("VPC", vpcId);
      call.requireSee(vpcRef(vpc));
      return vpc;
    });

  return bind(VpcServiceDefinition, {
    async createVpc(request, context) {
      const wanted = decode(request, context);
      const options = { action: context.action, requestId: request.requestId, request, ...storedAs(CreateVpcResponse) };
      const { result } = await calls.write(context, options, (call) => create(call, context.action, wanted));
      return result;
    },

    async getVpc(request, context) {
      const vpcId = parseId("vpc", request.vpcId, "vpc_id");
      return { vpc: encodeVpc(await read(context, vpcId)) };
    },

    async listVpcs(request, context) {
      const only = request.ownerAccount === "" ? undefined : parseId("acct", request.ownerAccount, "owner_account");
      const page = openPage(pages, context, request, { only });
      return calls.read(context, context.action, async (call) => {
        const visible = visibleAccount(call.subject);
        // Another account's list is empty, not refused: a filter is no question whether that account is there.
        if (visible !== undefined && only !== undefined && only !== visible) return { vpcs: [], nextPageToken: "" };
        const rows = await listVpcs(call.tx, { ownerAccount: visible ?? only, after: page.after, limit: page.limit });
        const { items, nextPageToken } = page.cut(rows, (vpc) => vpc.vpcId);
        return { vpcs: items.map(encodeVpc), nextPageToken };
      });
    },

    async updateVpc(request, context) {
      const wanted = required(request.vpc, "vpc");
      const vpcId = parseId("vpc", wanted.vpcId, "vpc.vpc_id");
      const fields = maskField(request.updateMask, ["name", "tags"]);
      const name = fields.has("name") ? displayName(wanted.name, "vpc.name") : undefined;
      const tags = fields.has("tags") ? tagsField(wanted.tags, "vpc.tags") : undefined;
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result } = await calls.write(context, options, async (call) => {
        const vpc = await lockedVpcFor(call, context.action, vpcId);
        checkEtag(wanted.etag, vpc.version);
        return updateVpc(call.tx, { vpcId, name: name ?? vpc.name, tags: tags ?? vpc.tags });
      });
      return { vpc: encodeVpc(result ?? (await read(context, vpcId))) };
    },

    async deleteVpc(request, context) {
      const vpcId = parseId("vpc", request.vpcId, "vpc_id");
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      await calls.write(context, options, async (call) => {
        const vpc = await lockedVpcFor(call, context.action, vpcId);
        checkEtag(request.etag, vpc.version);
        const subnets = await subnetsOfVpc(call.tx, vpcId);
        const groups = await groupsOfVpc(call.tx, vpcId);
        const others = groups.filter((group) => group.securityGroupId !== vpc.defaultSecurityGroupId);
        const named = [
          ...subnets.map((subnet) => ({ ...subnetRef(subnet), remedy: "delete that subnet" })),
          ...others.map((group) => ({ ...securityGroupRef(group), remedy: "delete that security group" })),
        ];
        const blockers = allBlockers([{ named, more: 0 }, await hooks.blockersOf(call.tx, "vpc", vpcId)]);
        const refusal = refusalOf(vpcRef(vpc), blockers, call);
        if (refusal !== undefined) throw refusal;
        await deleteVpc(call.tx, vpcId);
        await countUse(call.tx, vpc.ownerAccount, "vpcs", -1);
      });
      return {};
    },
  });
}
