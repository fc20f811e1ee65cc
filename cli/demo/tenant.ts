import { InstanceDriver, InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import type { Instance } from "#gen/plenum/compute/v1/instance.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { Direction, Protocol, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import type { SecurityGroupRule } from "#gen/plenum/network/v1/security_group.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { OperationServiceDefinition } from "#gen/plenum/operation/v1/operation.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import { waitForOperation } from "../operation-wait.ts";
import { present } from "../session.ts";
import type { Cluster } from "../up/cluster.ts";

export const VPC_CIDR = "10.0.0.0/16";
const SUBNET_CIDR = "10.0.1.0/24";
/** Instances start in well under a second; a machine that does other things at the same time may need longer. */
const START_LIMIT_MS = 30_000;

export const channelOf = (cluster: Cluster, token: string): RpcChannel => openChannel({ address: cluster.endpoint, ca: cluster.ca, token });

/** One customer of the demo: an account, its token, a VPC, and what it makes in it. Public API only. */
export interface Tenant {
  name: string;
  channel: RpcChannel;
  vpcId: string;
  subnetId: string;
  /** Lets ping and HTTP in and everything out. */
  openGroup: string;
}

const rule = (direction: Direction, protocol: Protocol, portFrom: number, portTo: number, cidr: string): SecurityGroupRule => ({
  direction,
  protocol,
  protocolNumber: 0,
  portFrom,
  portTo,
  peer: { $case: "cidr", value: cidr },
  description: "",
});

/** Ping and HTTP in, everything out; answers need no rule of their own. */
export const OPEN_RULES: readonly SecurityGroupRule[] = [
  rule(Direction.INGRESS, Protocol.ICMP, 0, 0, VPC_CIDR),
  rule(Direction.INGRESS, Protocol.TCP, 80, 80, VPC_CIDR),
  rule(Direction.EGRESS, Protocol.UNSPECIFIED, 0, 0, "0.0.0.0/0"),
];

export async function makeTenant(cluster: Cluster, operator: RpcChannel, name: string): Promise<Tenant> {
  const { account } = await operator.client(AccountServiceDefinition).createAccount({ name });
  const accountId = present(account, "account").accountId;
  const { token } = await operator.client(TokenServiceDefinition).issueToken({ accountId, principalId: `${name}-admin`, role: Role.OWNER });
  const channel = channelOf(cluster, token);
  const { vpc, firstSubnet } = await channel
    .client(VpcServiceDefinition)
    .createVpc({ name, cidrBlock: VPC_CIDR, firstSubnet: { cidrBlock: SUBNET_CIDR } });
  const vpcId = present(vpc, "vpc").vpcId;
  const openGroup = await makeGroup(channel, vpcId, "open", OPEN_RULES);
  return { name, channel, vpcId, subnetId: present(firstSubnet, "first_subnet").subnetId, openGroup };
}

export async function makeGroup(channel: RpcChannel, vpcId: string, name: string, rules: readonly SecurityGroupRule[]): Promise<string> {
  const { securityGroup } = await channel.client(SecurityGroupServiceDefinition).createSecurityGroup({ vpcId, name, rules: [...rules] });
  return present(securityGroup, "security_group").securityGroupId;
}

export async function makeInterface(tenant: Tenant, address: string, group = tenant.openGroup): Promise<string> {
  const answer = await tenant.channel
    .client(InterfaceServiceDefinition)
    .createInterface({ spec: { subnetId: tenant.subnetId, privateAddresses: [address], securityGroupIds: [group] } });
  return present(answer.interface, "interface").interfaceId;
}

/** A running instance as the demo needs it. */
export interface Guest {
  instanceId: string;
  /** Its first interface. */
  interfaceId: string;
  hostId: string;
  netns: string;
}

export interface GuestSpec {
  zone: string;
  interfaces: readonly { interfaceId: string; deleteOnTerminate?: boolean }[];
  argv?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

/** Runs an instance with existing interfaces and waits until its host says that it runs. */
export async function runGuest(tenant: Tenant, operator: RpcChannel, spec: GuestSpec): Promise<Guest> {
  const interfaces = spec.interfaces.map(({ interfaceId, deleteOnTerminate }) => ({
    source: { $case: "interfaceId" as const, value: interfaceId },
    deleteOnTerminate,
  }));
  const { instance, operation } = await tenant.channel.client(InstanceServiceDefinition).runInstance({
    driver: InstanceDriver.NETNS,
    zoneId: spec.zone,
    interfaces,
    process: spec.argv === undefined ? undefined : { argv: [...spec.argv], env: { ...spec.env } },
  });
  const { instanceId } = present(instance, "instance");
  await waitForOperation(tenant.channel.client(OperationServiceDefinition), present(operation, "operation").operationId, START_LIMIT_MS);
  const running = await getInstance(operator, instanceId); // the namespace's path is for operators
  return { instanceId, interfaceId: spec.interfaces[0]?.interfaceId ?? "", hostId: running.hostId, netns: running.netnsPath };
}

export async function getInstance(channel: RpcChannel, instanceId: string): Promise<Instance> {
  return present((await channel.client(InstanceServiceDefinition).getInstance({ instanceId })).instance, "instance");
}
