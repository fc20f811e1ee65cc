import type { SecurityGroup as SecurityGroupMessage } from "#gen/plenum/network/v1/security_group.ts";
import type { Subnet as SubnetMessage } from "#gen/plenum/network/v1/subnet.ts";
import type { Vpc as VpcMessage } from "#gen/plenum/network/v1/vpc.ts";
import { etagOf } from "../../call/api.ts";
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
  };
}

export function encodeGroup(group: SecurityGroup): SecurityGroupMessage {
  return {
    securityGroupId: group.securityGroupId,
    vpcId: group.vpcId,
    ownerAccount: group.ownerAccount,
    name: group.name,
    description: group.description,
    rules: group.rules.map(encodeRule),
    etag: etagOf(group.version),
    createTime: group.createTime,
  };
}
