import type { PageTokens } from "#lib/rpc/page-token.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { Calls, WriteCall } from "../../call/api.ts";
import { securityGroupRef, vpcRef } from "../core/refs.ts";
import type { SecurityGroup, Vpc } from "../core/model.ts";
import { getSecurityGroups, lockSecurityGroup } from "../out/groups.ts";
import type { Hooks } from "../out/hooks.ts";
import { getVpc, lockVpc } from "../out/vpcs.ts";

/** What the three services of this module are made of. */
export interface Deps {
  readonly calls: Calls;
  readonly pages: PageTokens;
  readonly hooks: Hooks;
}

/**
 * The VPC for changing what is in it: the caller may do `action` there, and nobody else changes it until the transaction ends.
 * Asked before it is locked: a stranger's call must not make the owner's wait.
 */
export async function lockedVpcFor(call: WriteCall, action: string, vpcId: string): Promise<Vpc> {
  const seen = await getVpc(call.tx, vpcId);
  if (seen === undefined) throw notFound("VPC", vpcId);
  call.require(action, vpcRef(seen));
  const locked = await lockVpc(call.tx, vpcId);
  if (locked === undefined) throw notFound("VPC", vpcId);
  return locked;
}

/** The group for changing it: asked before it is locked, as with VPCs. The VPC first: whatever changes rules there goes one by one. */
export async function lockedGroupFor(call: WriteCall, action: string, id: string): Promise<SecurityGroup> {
  const [seen] = await getSecurityGroups(call.tx, [id]);
  if (seen === undefined) throw notFound("security group", id);
  call.require(action, securityGroupRef(seen));
  await lockVpc(call.tx, seen.vpcId);
  const locked = await lockSecurityGroup(call.tx, id);
  if (locked === undefined) throw notFound("security group", id);
  return locked;
}
