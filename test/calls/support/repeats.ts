import type { Estate } from "./estate.ts";

/** What a request may name: one account's estate, and things of the installation. */
export interface Place {
  readonly estate: Estate;
  readonly hostId: string;
  /** A host that nothing else is asked of. */
  readonly spareHostId: string;
  /** An account that nothing else is asked of. */
  readonly spareAccount: string;
  /** A VPC, a subnet, a group that nobody uses. */
  freshVpc(): Promise<string>;
  freshSubnet(): Promise<string>;
  freshGroup(): Promise<string>;
  /** A consent that nothing else is asked of. */
  freshConsent(): Promise<string>;
  /** A host that may be deleted. */
  deletableHost(): Promise<string>;
  /** An instance that may start. */
  startable(): Promise<string>;
}

/** A call that succeeds, and what makes it another: both are calls of the account's owner, or of the operator where it says so. */
export interface Repeatable {
  readonly by?: "operator";
  readonly request: (place: Place) => object | Promise<object>;
  /** What is different in another request. */
  readonly other: object;
}

const COMMITTED = 1;
const etag = { etag: "another" };
const rule = { direction: 1, peer: { $case: "cidr", value: "192.0.2.0/24" } };
const spec = ({ estate }: Place) => ({ subnetId: estate.subnetId });
const principal = async ({ estate }: Place) => ({ accountId: estate.accountId, principalId: await estate.freshPrincipal() });
const consent = async (place: Place) => ({ consentId: await place.freshConsent() });
const attachment = async ({ estate }: Place) => ({
  interfaceId: await estate.freshInterface(),
  instanceId: (await estate.freshInstance()).instanceId,
});

/** Every RPC that takes a request_id (C10, N10). One that is not here fails the test. */
export const REPEATS: Readonly<Record<string, Repeatable>> = {
  "compute.v1.InstanceService/RunInstance": { request: () => ({ stopped: true }), other: { name: "x" } },
  "compute.v1.InstanceService/UpdateInstance": {
    request: ({ estate }) => ({ instance: { instanceId: estate.instanceId, name: "one" }, updateMask: ["name"] }),
    other: { updateMask: ["tags"] },
  },
  "compute.v1.InstanceService/StartInstance": {
    request: async (place) => ({ instanceId: await place.startable() }),
    other: { instanceId: `i-${"0".repeat(32)}` },
  },
  "compute.v1.InstanceService/StopInstance": {
    request: async ({ estate }) => ({ instanceId: (await estate.freshInstance()).instanceId }),
    other: { force: true },
  },
  "compute.v1.InstanceService/TerminateInstance": {
    request: async ({ estate }) => ({ instanceId: (await estate.freshInstance()).instanceId }),
    other: { force: true },
  },
  "consent.v1.ConsentService/SuspendConsent": { request: consent, other: etag },
  "consent.v1.ConsentService/ResumeConsent": { request: consent, other: etag },
  "consent.v1.ConsentService/RevokeConsent": { request: consent, other: etag },
  "host.v1.HostService/UpdateHost": {
    by: "operator",
    request: ({ hostId }) => ({ host: { hostId, schedulable: true }, updateMask: ["schedulable"] }),
    other: { host: { hostId: `host-${"0".repeat(32)}` } },
  },
  "host.v1.HostService/BarHost": {
    by: "operator",
    request: ({ spareHostId }) => ({ hostId: spareHostId, reason: "one" }),
    other: { reason: "two" },
  },
  "host.v1.HostService/UnbarHost": {
    by: "operator",
    request: ({ spareHostId }) => ({ hostId: spareHostId }),
    other: { hostId: `host-${"0".repeat(32)}` },
  },
  "host.v1.HostService/DeleteHost": {
    by: "operator",
    request: async (place) => ({ hostId: await place.deletableHost() }),
    other: { hostId: `host-${"0".repeat(32)}` },
  },
  "identity.v1.AccountService/CreateAccount": { by: "operator", request: () => ({ name: "repeated" }), other: { description: "x" } },
  "identity.v1.AccountService/SuspendAccount": {
    by: "operator",
    request: ({ spareAccount }) => ({ accountId: spareAccount }),
    other: { accountId: `acct-${"0".repeat(32)}` },
  },
  "identity.v1.AccountService/ResumeAccount": {
    by: "operator",
    request: ({ spareAccount }) => ({ accountId: spareAccount }),
    other: { accountId: `acct-${"0".repeat(32)}` },
  },
  "identity.v1.PrincipalService/CreatePrincipal": {
    request: ({ estate }) => ({ accountId: estate.accountId, principalId: "repeated" }),
    other: { description: "x" },
  },
  "identity.v1.PrincipalService/UpdatePrincipal": {
    request: async (place) => ({ principal: { ...(await principal(place)), description: "one" }, updateMask: ["description"] }),
    other: { updateMask: ["role", "description"] },
  },
  "identity.v1.PrincipalService/RevokeTokens": { request: principal, other: { principalId: "x" } },
  "identity.v1.PrincipalService/EnablePrincipal": { request: principal, other: { principalId: "x" } },
  "identity.v1.PrincipalService/DisablePrincipal": { request: principal, other: { principalId: "x" } },
  "identity.v1.QuotaService/SetQuota": {
    by: "operator",
    request: ({ spareAccount }) => ({ accountId: spareAccount, name: "vpcs", maximum: 7n }),
    other: { maximum: 8n },
  },
  "network.v1.SecurityGroupService/CreateSecurityGroup": {
    request: ({ estate }) => ({ vpcId: estate.vpcId, name: "repeated" }),
    other: { description: "x" },
  },
  "network.v1.SecurityGroupService/ReplaceSecurityGroupRules": {
    request: async (place) => ({ securityGroupId: await place.freshGroup(), rules: [rule] }),
    other: etag,
  },
  "network.v1.SecurityGroupService/AddSecurityGroupRules": {
    request: async (place) => ({ securityGroupId: await place.freshGroup(), rules: [rule] }),
    other: { rules: [{ ...rule, direction: 2 }] },
  },
  "network.v1.SecurityGroupService/RemoveSecurityGroupRules": {
    request: ({ estate }) => ({ securityGroupId: estate.groupId, rules: [rule] }),
    other: etag,
  },
  "network.v1.SecurityGroupService/UpdateSecurityGroup": {
    request: async (place) => ({
      securityGroup: { securityGroupId: await place.freshGroup(), description: "one" },
      updateMask: ["description"],
    }),
    other: { updateMask: ["description", "description"] },
  },
  "network.v1.SecurityGroupService/DeleteSecurityGroup": {
    request: async (place) => ({ securityGroupId: await place.freshGroup() }),
    other: etag,
  },
  "network.v1.SubnetService/CreateSubnet": {
    request: ({ estate }) => ({ vpcId: estate.vpcId, cidrBlock: "10.0.200.0/28" }),
    other: { name: "x" },
  },
  "network.v1.SubnetService/UpdateSubnet": {
    request: ({ estate }) => ({ subnet: { subnetId: estate.subnetId, name: "one" }, updateMask: ["name"] }),
    other: { updateMask: ["name", "name"] },
  },
  "network.v1.SubnetService/DeleteSubnet": { request: async (place) => ({ subnetId: await place.freshSubnet() }), other: etag },
  "network.v1.VpcService/CreateVpc": {
    request: () => ({ cidrBlock: "10.2.0.0/16", firstSubnet: { cidrBlock: "10.2.0.0/24" } }),
    other: { name: "x" },
  },
  "network.v1.VpcService/UpdateVpc": {
    request: ({ estate }) => ({ vpc: { vpcId: estate.vpcId, name: "one" }, updateMask: ["name"] }),
    other: { updateMask: ["name", "tags"] },
  },
  "network.v1.VpcService/DeleteVpc": { request: async (place) => ({ vpcId: await place.freshVpc() }), other: etag },
  "nivc.v1.InterfaceService/CreateInterface": { request: (place) => ({ spec: spec(place) }), other: { spec: {} } },
  "nivc.v1.InterfaceService/BatchCreateInterfaces": { request: (place) => ({ specs: [spec(place), spec(place)] }), other: { specs: [{}] } },
  "nivc.v1.InterfaceService/UpdateInterface": {
    request: async ({ estate }) => ({
      interface: { interfaceId: await estate.freshInterface(), description: "one" },
      updateMask: ["description"],
    }),
    other: { updateMask: ["description", "tags"] },
  },
  "nivc.v1.InterfaceService/SetAddresses": {
    request: async ({ estate }) => ({ interfaceId: await estate.freshInterface(), privateAddresses: ["10.0.1.77"] }),
    other: etag,
  },
  "nivc.v1.InterfaceService/DeleteInterface": {
    request: async ({ estate }) => ({ interfaceId: await estate.freshInterface() }),
    other: etag,
  },
  "nivc.v1.InterfaceService/AttachInterface": {
    request: async (place) => ({ spec: await attachment(place), wait: COMMITTED }),
    other: { wait: 0 },
  },
  "nivc.v1.InterfaceService/BatchAttachInterfaces": {
    request: async (place) => ({ specs: [await attachment(place), await attachment(place)], wait: COMMITTED }),
    other: { wait: 0 },
  },
  "nivc.v1.InterfaceService/DetachInterface": {
    request: async ({ estate }) => ({
      target: { $case: "interfaceId", value: (await estate.freshInstance()).interfaceId },
      wait: COMMITTED,
    }),
    other: { force: true },
  },
  "nivc.v1.InterfaceService/UpdateAttachment": {
    request: ({ estate }) => ({
      attachment: { attachmentId: estate.attachmentId, deleteOnTerminate: true },
      updateMask: ["delete_on_terminate"],
    }),
    other: { updateMask: ["delete_on_terminate", "delete_on_terminate"] },
  },
  "topology.v1.TopologyService/CreateZone": {
    by: "operator",
    request: () => ({ zoneId: "zone-repeated", regionId: "r" }),
    other: { regionId: "s" },
  },
};
