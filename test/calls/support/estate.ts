import { ConsentServiceDefinition } from "#gen/plenum/consent/v1/consent.ts";
import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";

/** The principal of an estate's account that its access lists name. */
export const MEMBER = "mem";

/** One account with one of everything that it can own, and another account that its access lists and consents name, besides a member. */
export interface Estate {
  readonly accountId: string;
  readonly grantee: string;
  readonly vpcId: string;
  readonly networkId: bigint;
  readonly subnetId: string;
  readonly groupId: string;
  readonly interfaceId: string;
  readonly instanceId: string;
  readonly attachmentId: string;
  readonly operationId: string;
  readonly consentId: string;
  readonly principalId: string;
  /** Makes another of what a call uses up. */
  freshInterface(): Promise<string>;
  freshInstance(): Promise<{ instanceId: string; interfaceId: string }>;
  freshPrincipal(): Promise<string>;
  /** Attaches a record, its own or one that it may attach, to an instance of its own; the attachment's id. */
  attach(interfaceId: string): Promise<string>;
}

const given = <Value>(value: Value | undefined): Value => {
  if (value === undefined) throw new Error("an answer lacks what it must hold");
  return value;
};

/** An account of its own, made by the operator. */
export async function makeAccount(operator: RpcChannel, name: string): Promise<string> {
  return given((await operator.client(AccountServiceDefinition).createAccount({ name })).account).accountId;
}

export async function makeEstate(owner: RpcChannel, accountId: string, grantee: string): Promise<Estate> {
  const vpcs = owner.client(VpcServiceDefinition);
  const interfaces = owner.client(InterfaceServiceDefinition);
  const instances = owner.client(InstanceServiceDefinition);
  const principals = owner.client(PrincipalServiceDefinition);
  const made = await vpcs.createVpc({ name: "v", cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/22" } });
  const { vpcId, networkId } = given(made.vpc);
  const { subnetId } = given(made.firstSubnet);
  const group = await owner.client(SecurityGroupServiceDefinition).createSecurityGroup({ vpcId, name: "g" });
  const list = [{ accountId: grantee }, { accountId, principalId: MEMBER }];
  const spec = { subnetId, access: { attachers: list, detachers: list, addressSetters: list, modifiers: list } };
  const freshInterface = async (): Promise<string> => given((await interfaces.createInterface({ spec })).interface).interfaceId;
  let serial = 0;
  const freshPrincipal = async (): Promise<string> => {
    serial += 1;
    const principalId = `robot-${serial}`;
    await principals.createPrincipal({ accountId, principalId, role: Role.VIEWER });
    return principalId;
  };
  const runStopped = () => instances.runInstance({ stopped: true, interfaces: [{ source: { $case: "create", value: spec } }] });
  const attachmentOf = async (instanceId: string) => given((await interfaces.listAttachments({ instanceId })).attachments[0]);
  const interfaceId = await freshInterface();
  const run = await runStopped();
  const { instanceId } = given(run.instance);
  const { consents } = await owner.client(ConsentServiceDefinition).listConsents({ resourceId: interfaceId });
  return {
    accountId,
    grantee,
    vpcId,
    networkId,
    subnetId,
    groupId: given(group.securityGroup).securityGroupId,
    interfaceId,
    instanceId,
    attachmentId: (await attachmentOf(instanceId)).attachmentId,
    operationId: given(run.operation).operationId,
    consentId: given(consents[0]).consentId,
    principalId: await freshPrincipal(),
    freshInterface,
    async freshInstance() {
      const fresh = given((await runStopped()).instance).instanceId;
      return { instanceId: fresh, interfaceId: (await attachmentOf(fresh)).interfaceId };
    },
    freshPrincipal,
    async attach(toAttach) {
      const { instance } = await instances.runInstance({ stopped: true });
      const spec = { interfaceId: toAttach, instanceId: given(instance).instanceId };
      return given((await interfaces.attachInterface({ spec })).attachment).attachmentId;
    },
  };
}
