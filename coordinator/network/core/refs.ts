import type { ResourceRef } from "../../call/api.ts";
import type { SecurityGroup, Subnet, Vpc } from "./model.ts";

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
