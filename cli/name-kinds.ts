import { InstanceServiceDefinition, InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { IdPrefix } from "#lib/ids/ids.ts";
import { pagesOf } from "./pages.ts";
import type { Caller } from "./session.ts";

/** Kinds of resources that have names beside their ids. */
export type NamedKind = "account" | "vpc" | "subnet" | "group" | "interface" | "instance" | "host";

/** One that a name may mean. */
export interface Candidate {
  readonly id: string;
  readonly name: string;
  /** What else it is known by. */
  readonly alias?: string;
  readonly vpcId?: string;
  /** It is over: its name counts only where nothing that lives bears it. */
  readonly ended?: boolean;
}

/** How resources of a kind are found. */
export interface Kind {
  readonly prefix: IdPrefix;
  /** Lists them, for people. */
  readonly command: string;
  /** Of an account; else everybody sees what there is for them. */
  readonly owned: boolean;
  /** In a VPC: "shop/web" is the web of the VPC shop. */
  readonly inVpc: boolean;
  /** Those of an account; "": all that the caller may see. */
  list(caller: Caller, owner: string): Promise<Candidate[]>;
}

const ownedBy = <T extends { ownerAccount: string }>(all: readonly T[], owner: string): T[] =>
  all.filter((one) => owner === "" || one.ownerAccount === owner);

/** All of them. */
export const NAMED: Readonly<Record<NamedKind, Kind>> = {
  account: {
    ...{ prefix: "acct", owned: false, command: "plenum account list", inVpc: false },
    async list(caller) {
      const client = caller.client(AccountServiceDefinition);
      const all = await pagesOf(
        (page) => client.listAccounts(page),
        (answer) => answer.accounts,
      );
      return all.map(({ accountId, name }) => ({ id: accountId, name }));
    },
  },
  vpc: {
    ...{ prefix: "vpc", owned: true, command: "plenum vpc list", inVpc: false },
    async list(caller, ownerAccount) {
      const client = caller.client(VpcServiceDefinition);
      const all = await pagesOf(
        (page) => client.listVpcs({ ...page, ownerAccount }),
        (answer) => answer.vpcs,
      );
      return all.map(({ vpcId, name }) => ({ id: vpcId, name }));
    },
  },
  subnet: {
    ...{ prefix: "subnet", owned: true, command: "plenum subnet list", inVpc: true },
    async list(caller, owner) {
      const client = caller.client(SubnetServiceDefinition);
      const all = await pagesOf(
        (page) => client.listSubnets(page),
        (answer) => answer.subnets,
      );
      return ownedBy(all, owner).map(({ subnetId, name, cidrBlock, vpcId }) => ({ id: subnetId, name, alias: cidrBlock, vpcId }));
    },
  },
  group: {
    ...{ prefix: "sg", owned: true, command: "plenum sg list", inVpc: true },
    async list(caller, owner) {
      const client = caller.client(SecurityGroupServiceDefinition);
      const all = await pagesOf(
        (page) => client.listSecurityGroups(page),
        (answer) => answer.securityGroups,
      );
      return ownedBy(all, owner).map(({ securityGroupId, name, vpcId }) => ({ id: securityGroupId, name, vpcId }));
    },
  },
  interface: {
    ...{ prefix: "eni", owned: true, command: "plenum eni list", inVpc: true },
    async list(caller, ownerAccount) {
      const client = caller.client(InterfaceServiceDefinition);
      const all = await pagesOf(
        (page) => client.listInterfaces({ ...page, filter: { ownerAccount } }),
        (answer) => answer.interfaces,
      );
      return all.map(({ interfaceId, name, vpcId }) => ({ id: interfaceId, name, vpcId }));
    },
  },
  instance: {
    ...{ prefix: "i", owned: true, command: "plenum instance list", inVpc: false },
    async list(caller, ownerAccount) {
      const client = caller.client(InstanceServiceDefinition);
      const all = await pagesOf(
        (page) => client.listInstances({ ...page, ownerAccount }),
        (answer) => answer.instances,
      );
      return all.map(({ instanceId, name, state }) => ({ id: instanceId, name, ended: state === InstanceState.TERMINATED }));
    },
  },
  host: {
    ...{ prefix: "host", owned: false, command: "plenum host list", inVpc: false },
    async list(caller) {
      const client = caller.client(HostServiceDefinition);
      const all = await pagesOf(
        (page) => client.listHosts(page),
        (answer) => answer.hosts,
      );
      return all.map(({ hostId, name }) => ({ id: hostId, name }));
    },
  },
};
