import { CreateSubnetResponse, SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import type { CreateSubnetRequest, Subnet as SubnetMessage } from "#gen/plenum/network/v1/subnet.ts";
import { newId, parseId } from "#lib/ids/ids.ts";
import { formatCidr } from "#lib/net/cidr.ts";
import type { Cidr } from "#lib/net/cidr.ts";
import { bind } from "#lib/rpc/definition.ts";
import type { ServerContext, ServiceBinding } from "#lib/rpc/definition.ts";
import { failedPrecondition, invalidArgument, notFound } from "#lib/rpc/errors.ts";
import { displayName } from "#lib/rpc/name.ts";
import { cidrField, required } from "#lib/rpc/validate.ts";
import { checkEtag, maskField, openPage, slug, storedAs, storedNothing, visibleAccount } from "../../call/api.ts";
import type { WriteCall } from "../../call/api.ts";
import { requireRoom } from "../../identity/api.ts";
import { requireZone } from "../../topology/api.ts";
import { refusalOf } from "../core/blockers.ts";
import type { Subnet } from "../core/model.ts";
import { subnetRef } from "../core/refs.ts";
import { blockFault, SUBNET_PREFIX } from "../core/subnet-block.ts";
import {
  deleteSubnet,
  getSubnet,
  insertSubnet,
  listSubnets,
  lockSubnet,
  overlappingSubnets,
  renameSubnet,
  subnetCount,
} from "../out/subnets.ts";
import { lockedVpcFor } from "./deps.ts";
import type { Deps } from "./deps.ts";
import { encodeSubnet } from "./messages.ts";

interface Wanted {
  readonly vpcId: string;
  readonly block: Cidr;
  readonly zoneId: string;
  readonly name: string;
}

function decode(request: CreateSubnetRequest): Wanted {
  return {
    vpcId: parseId("vpc", request.vpcId, "vpc_id"),
    block: cidrField(request.cidrBlock, "cidr_block", SUBNET_PREFIX),
    zoneId: request.zoneId === "" ? "" : slug(request.zoneId, "zone_id"),
    name: displayName(request.name, "name"),
  };
}

async function create(call: WriteCall, action: string, { vpcId, block, zoneId, name }: Wanted): Promise<CreateSubnetResponse> {
  const vpc = await lockedVpcFor(call, action, vpcId);
  const fault = blockFault(vpc.cidrBlock, block);
  if (fault !== undefined) throw invalidArgument("cidr_block", fault, "choose a part of it");
  if (zoneId !== "") await requireZone(call.tx, zoneId);
  const cidrBlock = formatCidr(block);
  // Under the VPC's lock: of two subnets made at once the second sees the first.
  const other = (await overlappingSubnets(call.tx, vpcId, cidrBlock))[0];
  if (other !== undefined) {
    throw failedPrecondition("CIDR_OVERLAP", `${cidrBlock} overlaps ${other.cidrBlock} of ${other.subnetId}; choose a block that is free`, {
      cidr: cidrBlock,
      conflicts_with: other.subnetId,
      conflicting_cidr: other.cidrBlock,
    });
  }
  const { ownerAccount } = vpc;
  await requireRoom(call.tx, ownerAccount, "subnets-per-vpc", await subnetCount(call.tx, vpcId));
  const subnet = await insertSubnet(call.tx, {
    subnetId: newId("subnet"),
    vpcId,
    ownerAccount,
    createdBy: call.subject.principalId,
    name,
    cidrBlock,
    zoneId,
  });
  call.concerns(subnetRef(subnet));
  return { subnet: encodeSubnet(subnet, 0n) };
}

/** The subnet for changing it: asked before it is locked, as with VPCs. */
async function lockedSubnetFor(call: WriteCall, action: string, subnetId: string): Promise<Subnet> {
  const seen = await getSubnet(call.tx, subnetId);
  if (seen === undefined) throw notFound("subnet", subnetId);
  call.require(action, subnetRef(seen));
  const locked = await lockSubnet(call.tx, subnetId);
  if (locked === undefined) throw notFound("subnet", subnetId);
  return locked;
}

export function subnetService({ calls, pages, hooks }: Deps): ServiceBinding {
  const read = (context: ServerContext, subnetId: string): Promise<SubnetMessage> =>
    calls.read(context, context.action, async (call) => {
      const subnet = await getSubnet(call.tx, subnetId);
      if (subnet === undefined) throw notFound("subnet", subnetId);
      call.requireSee(subnetRef(subnet));
      const named = await hooks.namedAddresses(call.tx, [subnetId]);
      return encodeSubnet(subnet, named.get(subnetId) ?? 0n);
    });

  return bind(SubnetServiceDefinition, {
    async createSubnet(request, context) {
      const wanted = decode(request);
      const options = { action: context.action, requestId: request.requestId, request, ...storedAs(CreateSubnetResponse) };
      const { result } = await calls.write(context, options, (call) => create(call, context.action, wanted));
      return result;
    },

    async getSubnet(request, context) {
      const subnetId = parseId("subnet", request.subnetId, "subnet_id");
      return { subnet: await read(context, subnetId) };
    },

    async listSubnets(request, context) {
      const vpcId = request.vpcId === "" ? "" : parseId("vpc", request.vpcId, "vpc_id");
      const page = openPage(pages, context, request, { vpcId });
      return calls.read(context, context.action, async (call) => {
        const rows = await listSubnets(call.tx, {
          ownerAccount: visibleAccount(call.subject),
          vpcId,
          after: page.after,
          limit: page.limit,
        });
        const { items, nextPageToken } = page.cut(rows, (subnet) => subnet.subnetId);
        const named = await hooks.namedAddresses(
          call.tx,
          items.map((subnet) => subnet.subnetId),
        );
        return { subnets: items.map((subnet) => encodeSubnet(subnet, named.get(subnet.subnetId) ?? 0n)), nextPageToken };
      });
    },

    async updateSubnet(request, context) {
      const wanted = required(request.subnet, "subnet");
      const subnetId = parseId("subnet", wanted.subnetId, "subnet.subnet_id");
      maskField(request.updateMask, ["name"]);
      const name = displayName(wanted.name, "subnet.name");
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      const { result } = await calls.write(context, options, async (call) => {
        const before = await lockedSubnetFor(call, context.action, subnetId);
        checkEtag(wanted.etag, before.version);
        await renameSubnet(call.tx, subnetId, name);
        const named = await hooks.namedAddresses(call.tx, [subnetId]);
        return encodeSubnet({ ...before, name, version: before.version + 1n }, named.get(subnetId) ?? 0n);
      });
      return { subnet: result ?? (await read(context, subnetId)) };
    },

    async deleteSubnet(request, context) {
      const subnetId = parseId("subnet", request.subnetId, "subnet_id");
      const options = { action: context.action, requestId: request.requestId, request, ...storedNothing };
      await calls.write(context, options, async (call) => {
        const subnet = await lockedSubnetFor(call, context.action, subnetId);
        checkEtag(request.etag, subnet.version);
        const refusal = refusalOf(subnetRef(subnet), await hooks.blockersOf(call.tx, "subnet", subnetId), call);
        if (refusal !== undefined) throw refusal;
        await deleteSubnet(call.tx, subnetId);
      });
      return {};
    },
  });
}
