import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { Direction, Protocol, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import type { Attachment, Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { OperationServiceDefinition, OperationState } from "#gen/plenum/operation/v1/operation.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { openChannel } from "#lib/rpc/rpc.ts";
import type { RpcChannel } from "#lib/rpc/rpc.ts";
import { startCluster } from "../../../cli/up/cluster.ts";
import type { Cluster, ClusterOptions } from "../../../cli/up/cluster.ts";

/** Every service of the contract, as one caller sees it. */
export function clientsOf(channel: RpcChannel) {
  return {
    accounts: channel.client(AccountServiceDefinition),
    tokens: channel.client(TokenServiceDefinition),
    topology: channel.client(TopologyServiceDefinition),
    vpcs: channel.client(VpcServiceDefinition),
    subnets: channel.client(SubnetServiceDefinition),
    groups: channel.client(SecurityGroupServiceDefinition),
    interfaces: channel.client(InterfaceServiceDefinition),
    instances: channel.client(InstanceServiceDefinition),
    hosts: channel.client(HostServiceDefinition),
    mappings: channel.client(MappingServiceDefinition),
    operations: channel.client(OperationServiceDefinition),
    audit: channel.client(AuditServiceDefinition),
  };
}
export type Clients = ReturnType<typeof clientsOf>;

/** An installation of a test's own, and how to speak to it. */
export interface Installation {
  cluster: Cluster;
  operator: Clients;
  /** A new account and its owner's clients. */
  account(name?: string): Promise<{ accountId: string; token: string; clients: Clients }>;
  clientsFor(token: string): Clients;
  stop(): Promise<void>;
}

export async function install(options: Partial<ClusterOptions> = {}): Promise<Installation> {
  const dataDir = join(tmpdir(), `plenum-t-${process.pid}-${randomBytes(3).toString("hex")}`);
  const cluster = await startCluster({ dataDir, temporary: true, ...options });
  const channels: RpcChannel[] = [];
  const clientsFor = (token: string): Clients => {
    const channel = openChannel({ address: cluster.endpoint, ca: cluster.ca, token });
    channels.push(channel);
    return clientsOf(channel);
  };
  const operator = clientsFor(cluster.operatorToken);
  return {
    cluster,
    operator,
    clientsFor,
    async account(name = `acct-${randomBytes(4).toString("hex")}`) {
      const { account } = await operator.accounts.createAccount({ name });
      const { token } = await operator.tokens.issueToken({ accountId: account!.accountId, principalId: "owner", role: Role.OWNER });
      return { accountId: account!.accountId, token, clients: clientsFor(token) };
    },
    async stop() {
      for (const channel of channels) channel.close();
      await cluster.stop();
    },
  };
}

/** Rules that let everything through, both ways. */
export const everything = [Direction.INGRESS, Direction.EGRESS].map((direction) => ({
  direction,
  protocol: Protocol.UNSPECIFIED,
  peer: { $case: "cidr" as const, value: "0.0.0.0/0" },
}));

export interface Network {
  vpcId: string;
  subnetId: string;
  networkId: bigint;
  /** A group that lets everything through. */
  openGroupId: string;
}

export async function makeNetwork(clients: Clients, cidr = "10.0.0.0/16", subnet = "10.0.1.0/24"): Promise<Network> {
  const { vpc, firstSubnet } = await clients.vpcs.createVpc({ name: "test", cidrBlock: cidr, firstSubnet: { cidrBlock: subnet } });
  const { securityGroup } = await clients.groups.createSecurityGroup({ vpcId: vpc!.vpcId, name: "open", rules: everything });
  return { vpcId: vpc!.vpcId, subnetId: firstSubnet!.subnetId, networkId: vpc!.networkId, openGroupId: securityGroup!.securityGroupId };
}

export interface Guest {
  instanceId: string;
  interface: Interface;
  attachment: Attachment;
  address: string;
  /** Path of its network namespace. */
  netns: string;
}

/** Runs an instance with one new interface on the given host and waits until it runs. */
export async function runGuest(
  at: Installation,
  owner: { accountId: string; clients: Clients },
  network: Network,
  options: { host: number; groups?: string[]; address?: string; argv?: string[]; deleteOnTerminate?: boolean },
): Promise<Guest> {
  const { interface: made } = await owner.clients.interfaces.createInterface({
    spec: {
      subnetId: network.subnetId,
      securityGroupIds: options.groups ?? [network.openGroupId],
      privateAddresses: options.address === undefined ? [] : [options.address],
    },
  });
  return runGuestWith(at, owner, made!.interfaceId, options);
}

/** The same with an interface that exists. */
export async function runGuestWith(
  at: Installation,
  owner: { accountId: string; clients: Clients },
  interfaceId: string,
  options: { host: number; argv?: string[]; deleteOnTerminate?: boolean },
): Promise<Guest> {
  // The operator may choose the host; everything else is the owner's own call.
  const { instance, operation } = await at.operator.instances.runInstance({
    ownerAccount: owner.accountId,
    hostId: at.cluster.hosts[options.host]!.hostId,
    interfaces: [{ source: { $case: "interfaceId", value: interfaceId }, deleteOnTerminate: options.deleteOnTerminate }],
    process: options.argv === undefined ? undefined : { argv: options.argv },
  });
  await finished(owner.clients, operation!.operationId);
  const { instance: running } = await at.operator.instances.getInstance({ instanceId: instance!.instanceId });
  const { interface: found } = await owner.clients.interfaces.getInterface({ interfaceId });
  const attachment = found!.attachments[0]!;
  return {
    instanceId: instance!.instanceId,
    interface: found!,
    attachment,
    address: found!.privateAddresses[0]!,
    netns: running!.netnsPath,
  };
}

/** Waits for an operation and insists that it went well. */
export async function finished(clients: Clients, operationId: string): Promise<void> {
  const { operation } = await clients.operations.waitOperation({ operationId, timeout: { seconds: 30n, nanos: 0 } }, { deadline: 40_000 });
  if (operation!.state !== OperationState.SUCCEEDED) throw new Error(`${operation!.kind} ${operation!.subjectId}: ${operation!.message}`);
}
