import type { Condition } from "#gen/plenum/common/v1/common.ts";
import type { SecurityGroup as SecurityGroupMessage } from "#gen/plenum/network/v1/security_group.ts";
import type { Subnet as SubnetMessage } from "#gen/plenum/network/v1/subnet.ts";
import type { Vpc as VpcMessage } from "#gen/plenum/network/v1/vpc.ts";
import { etagOf } from "../../call/api.ts";
import type { Tx } from "../../call/api.ts";
import { appliedCondition } from "../core/applied.ts";
import { setsWith } from "../out/peer-sets.ts";
import type { Enforcement, Hooks } from "../out/hooks.ts";
import { availableAddressCount } from "../core/subnet-block.ts";
import type { SecurityGroup, Subnet, Vpc } from "../core/model.ts";
import { encodeRule } from "./rules.ts";

export function encodeVpc(vpc: Vpc): VpcMessage {
  return {
    vpcId: vpc.vpcId,
    ownerAccount: vpc.ownerAccount,
    name: vpc.name,
    cidrBlock: vpc.cidrBlock,
    networkId: vpc.networkId,
    defaultSecurityGroupId: vpc.defaultSecurityGroupId,
    etag: etagOf(vpc.version),
    createTime: vpc.createTime,
    tags: { ...vpc.tags },
    createdBy: vpc.createdBy,
  };
}

/** `named`: how many different addresses records name. */
export function encodeSubnet(subnet: Subnet, named: bigint): SubnetMessage {
  return {
    subnetId: subnet.subnetId,
    vpcId: subnet.vpcId,
    ownerAccount: subnet.ownerAccount,
    cidrBlock: subnet.cidrBlock,
    zoneId: subnet.zoneId,
    availableAddressCount: availableAddressCount(subnet.cidrBlock, named),
    etag: etagOf(subnet.version),
    createTime: subnet.createTime,
    name: subnet.name,
    createdBy: subnet.createdBy,
  };
}

function encodeGroup(group: SecurityGroup, applied: Condition): SecurityGroupMessage {
  return {
    securityGroupId: group.securityGroupId,
    vpcId: group.vpcId,
    ownerAccount: group.ownerAccount,
    name: group.name,
    description: group.description,
    rules: group.rules.map(encodeRule),
    etag: etagOf(group.version),
    createTime: group.createTime,
    conditions: [applied],
    createdBy: group.createdBy,
  };
}

/** Groups as their readers see them, in the same order. `waitedSeconds`: the call that asks waited this long for their rules. */
export async function groupMessages(
  tx: Tx,
  hooks: Pick<Hooks, "enforcers">,
  groups: readonly SecurityGroup[],
  waitedSeconds?: number,
): Promise<SecurityGroupMessage[]> {
  const sets = await setsWith(
    tx,
    groups.map((group) => group.securityGroupId),
  );
  const known = sets.size === 0 ? new Map<number, Enforcement>() : await hooks.enforcers.of(tx, [...new Set([...sets.values()].flat())]);
  return groups.map((group) => {
    const own = (sets.get(group.securityGroupId) ?? []).flatMap((set) => known.get(set) ?? []);
    return encodeGroup(group, appliedCondition(group, own, waitedSeconds));
  });
}
