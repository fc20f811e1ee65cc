import type { Estate } from "./estate.ts";

/**
 * Who calls. `owner`, `member` and `viewer` are account A's, `instance` is one of A's that acts as the owner, `other` is B's owner, `grantee` the
 * owner of the account that A's access lists name, as they name the member.
 */
export const CALLERS = ["operator", "owner", "instance", "member", "viewer", "other", "grantee", "host", "anonymous"] as const;
export type CallerName = (typeof CALLERS)[number];

/** Whose resource the call is about: account A's, account B's. */
export const TARGETS = ["A", "B"] as const;
export type TargetName = (typeof TARGETS)[number];

/**
 * What a call comes to. yes: let through (what the entry's `allowed` says); hidden: NOT_FOUND; denied: PERMISSION_DENIED;
 * unknown: UNAUTHENTICATED; empty: answered, without what is not to be seen.
 */
export type Outcome = "yes" | "hidden" | "denied" | "unknown" | "empty";

/** By caller: on A's and on B's resource. */
type Row = Readonly<Record<CallerName, readonly [Outcome, Outcome]>>;

const both = (outcome: Outcome): readonly [Outcome, Outcome] => [outcome, outcome];

/** Of what an account owns. `others` is what those get whose it is not. */
const owned = (others: Outcome, change: Partial<Row> = {}): Row => ({
  operator: both("yes"),
  owner: ["yes", others],
  instance: ["yes", others],
  member: ["yes", others],
  viewer: ["yes", others],
  other: [others, "yes"],
  grantee: both(others),
  host: both(others),
  anonymous: both("unknown"),
  ...change,
});

const everybody = (outcome: Outcome, change: Partial<Row> = {}): Row => ({
  operator: both(outcome),
  owner: both(outcome),
  instance: both(outcome),
  member: both(outcome),
  viewer: both(outcome),
  other: both(outcome),
  grantee: both(outcome),
  host: both(outcome),
  anonymous: both("unknown"),
  ...change,
});

/** The rules, by class of action: the only place where this test says who may what. */
export const CLASSES = {
  /** Reads of what an account owns. */
  read: owned("hidden"),
  /** Writes to it. */
  write: owned("hidden", { member: ["denied", "hidden"], viewer: ["denied", "hidden"] }),
  /** The same of what an instance is not to pass on. */
  "write in person": owned("hidden", {
    instance: ["denied", "hidden"],
    member: ["denied", "hidden"],
    viewer: ["denied", "hidden"],
  }),
  /** Reads of what an access list or a consent names another account on. */
  "read shared": owned("hidden", { grantee: ["yes", "hidden"] }),
  /** Writes that the list allows. */
  "write granted": owned("hidden", { viewer: ["denied", "hidden"], grantee: ["yes", "hidden"] }),
  /** Writes that it does not. */
  "write not granted": owned("hidden", { member: ["denied", "hidden"], viewer: ["denied", "hidden"], grantee: ["denied", "hidden"] }),
  /** Writes of the two accounts of a consent. */
  "write of parties": owned("hidden", { member: ["denied", "hidden"], viewer: ["denied", "hidden"], grantee: ["yes", "hidden"] }),
  /** Lists hold what one may see. */
  list: owned("empty", { host: both("denied") }),
  "list of instances": owned("empty"),
  "list shared": owned("empty", { grantee: ["yes", "empty"] }),
  "watch shared": owned("empty", { grantee: ["yes", "empty"], host: both("denied") }),
  "list of parties": owned("empty", { grantee: ["yes", "empty"], host: both("denied") }),
  /** The same for all who are somebody. */
  public: everybody("yes"),
  /** Acts on the installation, which is known to be there. */
  installation: everybody("denied", { operator: both("yes"), host: both("hidden") }),
  /** What is the operators' alone, and hidden. */
  "operators' own": everybody("hidden", { operator: both("yes") }),
  "operators' list": everybody("empty", { operator: both("yes") }),
  /** Operators, by the service's own check. */
  "operator only": everybody("denied", { operator: both("yes") }),
  "host only": everybody("denied", { host: both("yes") }),
  /** Hosts, for what they carry: here nothing. */
  "host's own": everybody("denied", { host: both("hidden") }),
  /** For bearers of tokens. */
  bearer: everybody("yes", { host: both("unknown") }),
  /** Open to all, who must bring something else: the token of a join, which here is none. */
  open: everybody("unknown"),
} as const satisfies Record<string, Row>;

/** What a request may name. */
export interface Cell {
  readonly target: Estate;
  /** The caller's own account's estate; of callers without one: the target. */
  readonly own: Estate;
  readonly hostId: string;
  /** A host that nothing else is asked of. */
  readonly spareHostId: string;
  readonly zoneId: string;
  /** An account that nothing else is asked of. */
  readonly spareAccount: string;
  /** Another number for each cell. */
  readonly serial: number;
}

export interface Entry {
  readonly class: keyof typeof CLASSES;
  /** Status (and reason, where it is none) of a call that is let through; default "OK". A stale etag is found after the decision. */
  readonly allowed?: string;
  readonly request: (cell: Cell) => object | Promise<object>;
  /** Of a list's answer: whether it holds what the request is about. */
  readonly holds?: (answer: never, cell: Cell) => boolean;
}

const STALE = "ABORTED STALE_ETAG";
const etag = "0";
const COMMITTED = 1;
const ANYBODY = { $case: "cidr", value: "0.0.0.0/0" };

/** Lists of a field of messages with an id. */
const holds =
  (field: string, id: string, of: (cell: Cell) => string) =>
  (answer: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>, cell: Cell): boolean =>
    (answer[field] ?? []).some((item) => item[id] === of(cell));

async function attachment({ target, own }: Cell): Promise<object> {
  return { interfaceId: await target.freshInterface(), instanceId: (await own.freshInstance()).instanceId };
}

/** Every RPC. One that is not here fails the test. */
export const RPCS: Readonly<Record<string, Entry>> = {
  "audit.v1.AuditService/ListAuditEntries": {
    class: "list",
    request: ({ target }) => ({ resourceId: target.vpcId }),
    holds: holds("entries", "resourceId", ({ target }) => target.vpcId),
  },
  "compute.v1.InstanceService/RunInstance": {
    class: "write",
    request: ({ target }) => ({
      ownerAccount: target.accountId,
      stopped: true,
      interfaces: [{ source: { $case: "create", value: { subnetId: target.subnetId } } }],
    }),
  },
  "compute.v1.InstanceService/GetInstance": { class: "read", request: ({ target }) => ({ instanceId: target.instanceId }) },
  "compute.v1.InstanceService/ListInstances": {
    class: "list of instances",
    request: ({ target }) => ({ ownerAccount: target.accountId, pageSize: 1_000 }),
    holds: holds("instances", "instanceId", ({ target }) => target.instanceId),
  },
  "compute.v1.InstanceService/UpdateInstance": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ instance: { instanceId: target.instanceId, name: "x", etag }, updateMask: ["name"] }),
  },
  "compute.v1.InstanceService/StartInstance": {
    class: "write",
    allowed: "FAILED_PRECONDITION NO_HOST",
    request: ({ target }) => ({ instanceId: target.instanceId }),
  },
  "compute.v1.InstanceService/StopInstance": {
    class: "write",
    request: async ({ target }) => ({ instanceId: (await target.freshInstance()).instanceId }),
  },
  "compute.v1.InstanceService/TerminateInstance": {
    class: "write",
    request: async ({ target }) => ({ instanceId: (await target.freshInstance()).instanceId }),
  },
  "consent.v1.ConsentService/GetConsent": { class: "read shared", request: ({ target }) => ({ consentId: target.consentId }) },
  "consent.v1.ConsentService/ListConsents": {
    class: "list of parties",
    request: ({ target }) => ({ resourceId: target.interfaceId }),
    holds: holds("consents", "consentId", ({ target }) => target.consentId),
  },
  "consent.v1.ConsentService/SuspendConsent": {
    class: "write not granted",
    allowed: STALE,
    request: ({ target }) => ({ consentId: target.consentId, etag }),
  },
  "consent.v1.ConsentService/ResumeConsent": {
    class: "write not granted",
    request: ({ target }) => ({ consentId: target.consentId, etag }),
  },
  "consent.v1.ConsentService/RevokeConsent": {
    class: "write of parties",
    allowed: STALE,
    request: ({ target }) => ({ consentId: target.consentId, etag }),
  },
  "host.v1.HostService/CreateJoinToken": { class: "installation", request: ({ zoneId }) => ({ zoneId }) },
  "host.v1.HostService/GetHost": { class: "operators' own", request: ({ hostId }) => ({ hostId }) },
  "host.v1.HostService/UpdateHost": {
    class: "operators' own",
    request: ({ hostId }) => ({ host: { hostId, schedulable: true }, updateMask: ["schedulable"] }),
  },
  "host.v1.HostService/BarHost": { class: "operators' own", request: ({ spareHostId }) => ({ hostId: spareHostId, reason: "r" }) },
  "host.v1.HostService/UnbarHost": { class: "operators' own", request: ({ spareHostId }) => ({ hostId: spareHostId }) },
  "host.v1.HostService/DeleteHost": {
    class: "operators' own",
    allowed: "FAILED_PRECONDITION WRONG_STATE", // it is not barred
    request: ({ hostId }) => ({ hostId }),
  },
  "host.v1.HostService/ListHosts": {
    class: "operators' list",
    request: () => ({}),
    holds: holds("hosts", "hostId", ({ hostId }) => hostId),
  },
  "host.v1.HostFeedService/Join": { class: "open", request: () => ({ token: "plenum-join.none", csr: Buffer.from("x"), name: "h" }) },
  "host.v1.HostFeedService/RenewCertificate": {
    class: "host only",
    allowed: "INVALID_ARGUMENT INVALID_FIELD",
    request: () => ({ csr: Buffer.from("x") }),
  },
  "host.v1.HostFeedService/IssueInstanceToken": { class: "host's own", request: ({ target }) => ({ instanceId: target.instanceId }) },
  "host.v1.HostFeedService/Connect": {
    class: "host only",
    request: () => ({ message: { $case: "hello", value: { agentVersion: "x", kernelRelease: "0", substrateMtu: 1_500 } } }),
  },
  "identity.v1.AccountService/CreateAccount": { class: "installation", request: ({ serial }) => ({ name: `made-${serial}` }) },
  "identity.v1.AccountService/GetAccount": { class: "read", request: ({ target }) => ({ accountId: target.accountId }) },
  "identity.v1.AccountService/ListAccounts": {
    class: "list",
    request: () => ({ pageSize: 1_000 }),
    holds: holds("accounts", "accountId", ({ target }) => target.accountId),
  },
  "identity.v1.PrincipalService/CreatePrincipal": {
    class: "write",
    request: ({ target, serial }) => ({ accountId: target.accountId, principalId: `made-${serial}` }),
  },
  "identity.v1.PrincipalService/GetPrincipal": {
    class: "read",
    request: ({ target }) => ({ accountId: target.accountId, principalId: target.principalId }),
  },
  "identity.v1.PrincipalService/ListPrincipals": {
    class: "list",
    request: ({ target }) => ({ accountId: target.accountId, pageSize: 1_000 }),
    holds: holds("principals", "principalId", ({ target }) => target.principalId),
  },
  "identity.v1.AccountService/SuspendAccount": { class: "installation", request: ({ spareAccount }) => ({ accountId: spareAccount }) },
  "identity.v1.AccountService/ResumeAccount": { class: "installation", request: ({ spareAccount }) => ({ accountId: spareAccount }) },
  "identity.v1.PrincipalService/UpdatePrincipal": {
    class: "write",
    request: ({ target }) => ({
      principal: { accountId: target.accountId, principalId: target.principalId, description: "x" },
      updateMask: ["description"],
    }),
  },
  "identity.v1.PrincipalService/EnablePrincipal": {
    class: "write",
    request: ({ target }) => ({ accountId: target.accountId, principalId: target.principalId }),
  },
  "identity.v1.PrincipalService/RevokeTokens": {
    class: "write",
    request: ({ target }) => ({ accountId: target.accountId, principalId: target.principalId }),
  },
  "identity.v1.PrincipalService/DisablePrincipal": {
    class: "write",
    request: async ({ target }) => ({ accountId: target.accountId, principalId: await target.freshPrincipal() }),
  },
  "identity.v1.QuotaService/GetQuotas": { class: "read", request: ({ target }) => ({ accountId: target.accountId }) },
  "identity.v1.QuotaService/SetQuota": {
    class: "installation",
    request: ({ target }) => ({ accountId: target.accountId, name: "vpcs", maximum: 1_000n }),
  },
  "identity.v1.TokenService/IssueToken": {
    class: "write in person",
    request: ({ target }) => ({ accountId: target.accountId, principalId: "issued", role: 3 }),
  },
  "identity.v1.TokenService/WhoAmI": { class: "bearer", request: () => ({}) },
  "mapping.v1.MappingService/LookupMapping": {
    class: "operator only",
    request: ({ target }) => ({ networkId: target.networkId, address: "10.0.0.9" }),
  },
  "mapping.v1.MappingService/BatchLookupMappings": {
    class: "operator only",
    request: ({ target }) => ({ lookups: [{ networkId: target.networkId, address: "10.0.0.9" }] }),
  },
  "mapping.v1.MappingService/WatchMappings": {
    class: "host only",
    allowed: "OK",
    request: ({ target }) => ({ message: { $case: "subscribe", value: { networkId: target.networkId } } }),
  },
  "network.v1.SecurityGroupService/CreateSecurityGroup": {
    class: "write",
    request: ({ target, serial }) => ({ vpcId: target.vpcId, name: `g-${serial}` }),
  },
  "network.v1.SecurityGroupService/GetSecurityGroup": { class: "read", request: ({ target }) => ({ securityGroupId: target.groupId }) },
  "network.v1.SecurityGroupService/ListSecurityGroups": {
    class: "list",
    request: ({ target }) => ({ vpcId: target.vpcId, pageSize: 1_000 }),
    holds: holds("securityGroups", "securityGroupId", ({ target }) => target.groupId),
  },
  "network.v1.SecurityGroupService/ReplaceSecurityGroupRules": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ securityGroupId: target.groupId, rules: [], etag }),
  },
  "network.v1.SecurityGroupService/AddSecurityGroupRules": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ securityGroupId: target.groupId, rules: [{ direction: 1, peer: ANYBODY }], etag }),
  },
  "network.v1.SecurityGroupService/RemoveSecurityGroupRules": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ securityGroupId: target.groupId, rules: [{ direction: 1, peer: ANYBODY }], etag }),
  },
  "network.v1.SecurityGroupService/UpdateSecurityGroup": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ securityGroup: { securityGroupId: target.groupId, name: "x", etag }, updateMask: ["name"] }),
  },
  "network.v1.SecurityGroupService/DeleteSecurityGroup": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ securityGroupId: target.groupId, etag }),
  },
  "network.v1.SubnetService/CreateSubnet": {
    class: "write",
    request: ({ target, serial }) => ({ vpcId: target.vpcId, cidrBlock: `10.0.${128 + (serial % 128)}.0/28` }),
  },
  "network.v1.SubnetService/GetSubnet": { class: "read", request: ({ target }) => ({ subnetId: target.subnetId }) },
  "network.v1.SubnetService/ListSubnets": {
    class: "list",
    request: ({ target }) => ({ vpcId: target.vpcId, pageSize: 1_000 }),
    holds: holds("subnets", "subnetId", ({ target }) => target.subnetId),
  },
  "network.v1.SubnetService/UpdateSubnet": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ subnet: { subnetId: target.subnetId, name: "x", etag }, updateMask: ["name"] }),
  },
  "network.v1.SubnetService/DeleteSubnet": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ subnetId: target.subnetId, etag }),
  },
  "network.v1.VpcService/CreateVpc": {
    class: "write",
    request: ({ target }) => ({ ownerAccount: target.accountId, cidrBlock: "10.1.0.0/16", firstSubnet: { cidrBlock: "10.1.0.0/24" } }),
  },
  "network.v1.VpcService/GetVpc": { class: "read", request: ({ target }) => ({ vpcId: target.vpcId }) },
  "network.v1.VpcService/ListVpcs": {
    class: "list",
    request: ({ target }) => ({ ownerAccount: target.accountId, pageSize: 1_000 }),
    holds: holds("vpcs", "vpcId", ({ target }) => target.vpcId),
  },
  "network.v1.VpcService/UpdateVpc": {
    class: "write",
    allowed: STALE,
    request: ({ target }) => ({ vpc: { vpcId: target.vpcId, name: "x", etag }, updateMask: ["name"] }),
  },
  "network.v1.VpcService/DeleteVpc": { class: "write", allowed: STALE, request: ({ target }) => ({ vpcId: target.vpcId, etag }) },
  "nivc.v1.InterfaceService/CreateInterface": { class: "write", request: ({ target }) => ({ spec: { subnetId: target.subnetId } }) },
  "nivc.v1.InterfaceService/BatchCreateInterfaces": {
    class: "write",
    request: ({ target }) => ({ specs: [{ subnetId: target.subnetId }, { subnetId: target.subnetId }] }),
  },
  "nivc.v1.InterfaceService/GetInterface": { class: "read shared", request: ({ target }) => ({ interfaceId: target.interfaceId }) },
  "nivc.v1.InterfaceService/ListInterfaces": {
    class: "list shared",
    request: ({ target }) => ({ filter: { subnetId: target.subnetId }, pageSize: 1_000 }),
    holds: holds("interfaces", "interfaceId", ({ target }) => target.interfaceId),
  },
  "nivc.v1.InterfaceService/WatchInterfaces": {
    class: "watch shared",
    request: ({ target }) => ({ filter: { ownerAccount: target.accountId, subnetId: target.subnetId } }),
    // The first step of the feed: the snapshot, where there is one.
    holds: (answer: { event?: { $case: string; value: { interfaces?: { interfaceId: string }[] } } }, { target }) =>
      (answer.event?.value.interfaces ?? []).some((one) => one.interfaceId === target.interfaceId),
  },
  "nivc.v1.InterfaceService/UpdateInterface": {
    class: "write granted",
    allowed: STALE,
    request: ({ target }) => ({ interface: { interfaceId: target.interfaceId, description: "x", etag }, updateMask: ["description"] }),
  },
  "nivc.v1.InterfaceService/SetAddresses": {
    class: "write granted",
    allowed: STALE,
    request: ({ target }) => ({ interfaceId: target.interfaceId, etag }),
  },
  "nivc.v1.InterfaceService/DeleteInterface": {
    class: "write not granted",
    allowed: STALE,
    request: ({ target }) => ({ interfaceId: target.interfaceId, etag }),
  },
  "nivc.v1.InterfaceService/AttachInterface": {
    class: "write granted",
    request: async (cell) => ({ spec: await attachment(cell), wait: COMMITTED }),
  },
  "nivc.v1.InterfaceService/BatchAttachInterfaces": {
    class: "write granted",
    request: async (cell) => ({ specs: [await attachment(cell), await attachment(cell)], wait: COMMITTED }),
  },
  "nivc.v1.InterfaceService/DetachInterface": {
    class: "write granted",
    request: async ({ target }) => ({
      target: { $case: "interfaceId", value: (await target.freshInstance()).interfaceId },
      wait: COMMITTED,
    }),
  },
  // Who may attach: a grantee only what is on an instance of its own.
  "nivc.v1.InterfaceService/UpdateAttachment": {
    class: "write granted",
    request: async ({ target, own }) => ({
      attachment: {
        attachmentId: own.accountId === target.grantee ? await own.attach(await target.freshInterface()) : target.attachmentId,
      },
      updateMask: ["delete_on_terminate"],
    }),
  },
  "nivc.v1.InterfaceService/GetAttachment": { class: "read shared", request: ({ target }) => ({ attachmentId: target.attachmentId }) },
  "nivc.v1.InterfaceService/ListAttachments": {
    class: "list shared",
    request: ({ target }) => ({ instanceId: target.instanceId }),
    holds: holds("attachments", "attachmentId", ({ target }) => target.attachmentId),
  },
  "operation.v1.OperationService/GetOperation": { class: "read", request: ({ target }) => ({ operationId: target.operationId }) },
  "operation.v1.OperationService/ListOperations": {
    class: "list",
    request: ({ target }) => ({ subjectId: target.instanceId }),
    holds: holds("operations", "subjectId", ({ target }) => target.instanceId),
  },
  "operation.v1.OperationService/WaitOperation": {
    class: "read",
    request: ({ target }) => ({ operationId: target.operationId, timeout: { seconds: 0n, nanos: 0 } }),
  },
  "topology.v1.TopologyService/CreateZone": {
    class: "installation",
    request: ({ serial }) => ({ zoneId: `zone-${serial}`, regionId: "r" }),
  },
  "topology.v1.TopologyService/ListRegions": { class: "public", request: () => ({}) },
  "topology.v1.TopologyService/ListZones": { class: "public", request: () => ({}) },
};
