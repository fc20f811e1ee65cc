// How each resource looks in a table: one small declaration each. A new field that people want to see in a list is one line here;
// `get` and `-o json` show every field by themselves.
import { AuditEntry, auditDecisionToJSON } from "#gen/plenum/audit/v1/audit.ts";
import { Consent, consentStateToJSON } from "#gen/plenum/consent/v1/consent.ts";
import { Instance, instanceStateToJSON } from "#gen/plenum/compute/v1/instance.ts";
import { Host, hostStateToJSON } from "#gen/plenum/host/v1/host.ts";
import { Account, accountStateToJSON } from "#gen/plenum/identity/v1/account.ts";
import { Quota } from "#gen/plenum/identity/v1/quota.ts";
import { Principal, principalStateToJSON } from "#gen/plenum/identity/v1/principal.ts";
import { roleToJSON } from "#gen/plenum/identity/v1/token.ts";
import { Target } from "#gen/plenum/mapping/v1/mapping.ts";
import { SecurityGroup } from "#gen/plenum/network/v1/security_group.ts";
import { Subnet } from "#gen/plenum/network/v1/subnet.ts";
import { Vpc } from "#gen/plenum/network/v1/vpc.ts";
import { Attachment, attachmentStateToJSON, Interface, interfaceStateToJSON } from "#gen/plenum/nivc/v1/interface.ts";
import { Operation, operationStateToJSON } from "#gen/plenum/operation/v1/operation.ts";
import { Region, Zone } from "#gen/plenum/topology/v1/topology.ts";
import type { ResourceTable } from "./output.ts";
import { formatRule } from "./rule.ts";

/** "ATTACHMENT_STATE_ATTACHED" → "ATTACHED". */
const short = (name: string): string => name.replace(/^[A-Z_]*?_(STATE|DECISION|ROLE)_|^ROLE_/, "");

const whyOf = (conditions: readonly { message: string }[]): string[] => conditions.map((c) => c.message).filter((text) => text !== "");

export const accounts: ResourceTable<Account> = {
  plural: "accounts",
  toJSON: Account.toJSON,
  columns: {
    ACCOUNT: (a) => a.accountId,
    NAME: (a) => a.name,
    STATE: (a) => short(accountStateToJSON(a.state)),
    DESCRIPTION: (a) => a.description,
    CREATED: (a) => a.createTime,
  },
};

export const principals: ResourceTable<Principal> = {
  plural: "principals",
  toJSON: Principal.toJSON,
  columns: {
    PRINCIPAL: (p) => p.principalId,
    ACCOUNT: (p) => p.accountId,
    ROLE: (p) => short(roleToJSON(p.role)),
    STATE: (p) => short(principalStateToJSON(p.state)),
    DESCRIPTION: (p) => p.description,
    CREATED: (p) => p.createTime,
  },
};

export const quotas: ResourceTable<Quota> = {
  plural: "quotas",
  toJSON: Quota.toJSON,
  columns: { QUOTA: (q) => q.name, MAXIMUM: (q) => q.maximum, USED: (q) => q.used, OWN: (q) => q.own },
};

export const consents: ResourceTable<Consent> = {
  plural: "consents",
  toJSON: Consent.toJSON,
  columns: {
    CONSENT: (c) => c.consentId,
    STATE: (c) => short(consentStateToJSON(c.state)),
    GRANTOR: (c) => c.grantorAccount,
    GRANTEE: (c) => (c.granteePrincipal === "" ? c.granteeAccount : `${c.granteeAccount}/${c.granteePrincipal}`),
    ACTIONS: (c) => c.actions,
    RESOURCE: (c) => c.resourceId,
    UNTIL: (c) => c.validUntil,
  },
};

export const regions: ResourceTable<Region> = { plural: "regions", toJSON: Region.toJSON, columns: { REGION: (r) => r.regionId } };

export const zones: ResourceTable<Zone> = {
  plural: "zones",
  toJSON: Zone.toJSON,
  columns: { ZONE: (z) => z.zoneId, REGION: (z) => z.regionId },
};

export const vpcs: ResourceTable<Vpc> = {
  plural: "vpcs",
  toJSON: Vpc.toJSON,
  columns: {
    VPC: (v) => v.vpcId,
    NAME: (v) => v.name,
    CIDR: (v) => v.cidrBlock,
    NETWORK: (v) => v.networkId,
    OWNER: (v) => v.ownerAccount,
  },
};

export const subnets: ResourceTable<Subnet> = {
  plural: "subnets",
  toJSON: Subnet.toJSON,
  columns: {
    SUBNET: (s) => s.subnetId,
    NAME: (s) => s.name,
    CIDR: (s) => s.cidrBlock,
    ZONE: (s) => s.zoneId,
    FREE: (s) => s.availableAddressCount,
    VPC: (s) => s.vpcId,
  },
};

export const securityGroups: ResourceTable<SecurityGroup> = {
  plural: "securityGroups",
  toJSON: SecurityGroup.toJSON,
  columns: {
    GROUP: (g) => g.securityGroupId,
    NAME: (g) => g.name,
    RULES: (g) => g.rules.map(formatRule),
    VPC: (g) => g.vpcId,
    WHY: (g) => whyOf(g.conditions),
  },
};

export const interfaces: ResourceTable<Interface> = {
  plural: "interfaces",
  toJSON: Interface.toJSON,
  columns: {
    INTERFACE: (i) => i.interfaceId,
    NAME: (i) => i.name,
    STATE: (i) => short(interfaceStateToJSON(i.state)),
    ADDRESSES: (i) => i.privateAddresses,
    INSTANCE: (i) => i.attachments.map((a) => a.instanceId),
    SUBNET: (i) => i.subnetId,
    DESCRIPTION: (i) => i.description,
  },
};

/** How they look when they are followed, one a line. */
export const watchedInterfaces: ResourceTable<Interface> = {
  plural: "interfaces",
  toJSON: Interface.toJSON,
  columns: {
    INTERFACE: (i) => i.interfaceId,
    STATE: (i) => short(interfaceStateToJSON(i.state)),
    ADDRESSES: (i) => i.privateAddresses,
    ATTACHMENT: (i) => i.attachments.map((a) => short(attachmentStateToJSON(a.state))),
    INSTANCE: (i) => i.attachments.map((a) => a.instanceId),
    DESCRIPTION: (i) => i.description,
  },
};

export const attachments: ResourceTable<Attachment> = {
  plural: "attachments",
  toJSON: Attachment.toJSON,
  columns: {
    ATTACHMENT: (a) => a.attachmentId,
    STATE: (a) => short(attachmentStateToJSON(a.state)),
    INTERFACE: (a) => a.interfaceId,
    INSTANCE: (a) => a.instanceId,
    DEVICE: (a) => `eth${a.deviceIndex}`,
    HOST: (a) => a.hostId,
    WHY: (a) => whyOf(a.conditions),
  },
};

export const instances: ResourceTable<Instance> = {
  plural: "instances",
  toJSON: Instance.toJSON,
  columns: {
    INSTANCE: (i) => i.instanceId,
    NAME: (i) => i.name,
    STATE: (i) => short(instanceStateToJSON(i.state)),
    ZONE: (i) => i.zoneId,
    HOST: (i) => i.hostId,
    PROCESS: (i) => i.process?.argv.join(" ").slice(0, 40),
    WHY: (i) => whyOf(i.conditions),
  },
};

export const hosts: ResourceTable<Host> = {
  plural: "hosts",
  toJSON: Host.toJSON,
  columns: {
    HOST: (h) => h.hostId,
    NAME: (h) => h.name,
    STATE: (h) => short(hostStateToJSON(h.state)) + (h.schedulable ? "" : ",CORDONED"),
    ZONE: (h) => h.zoneId,
    ADDRESS: (h) => h.substrateAddress,
    SUBSTRATE: (h) => h.conditions.filter((c) => c.type === "SubstrateReady").map((c) => c.reason),
    INSTANCES: (h) => h.instanceCount,
    "APPLIED/WANTED": (h) => `${h.appliedVersion}/${h.wantedVersion}`,
    SEEN: (h) => h.lastSeenTime,
  },
};

export const operations: ResourceTable<Operation> = {
  plural: "operations",
  toJSON: Operation.toJSON,
  columns: {
    OPERATION: (o) => o.operationId,
    KIND: (o) => o.kind,
    STATE: (o) => short(operationStateToJSON(o.state)),
    SUBJECT: (o) => o.subjectId,
    STARTED: (o) => o.createTime,
    WHY: (o) => o.message,
  },
};

export const auditEntries: ResourceTable<AuditEntry> = {
  plural: "entries",
  toJSON: AuditEntry.toJSON,
  columns: {
    TIME: (e) => e.time,
    DECISION: (e) => short(auditDecisionToJSON(e.decision)),
    ACTION: (e) => e.action,
    PRINCIPAL: (e) => e.principalId,
    "FOR ACCOUNT": (e) => e.onBehalfOf,
    BY: (e) => e.delegationId,
    VIA: (e) => e.viaInstanceId,
    RESOURCE: (e) => e.resourceId,
    POLICY: (e) => e.reason,
    COUNT: (e) => e.count,
    FROM: (e) => e.peer,
  },
};

export const targets: ResourceTable<Target> = {
  plural: "targets",
  toJSON: Target.toJSON,
  columns: {
    INTERFACE: (t) => t.interfaceId,
    ATTACHMENT: (t) => t.attachmentId,
    HOST: (t) => t.hostId,
    "HOST ADDRESS": (t) => t.hostAddress,
    MAC: (t) => t.macAddress,
    "WIRE ID": (t) => t.wireId,
  },
};

/** Where packets were dropped, how many and why. */
export interface Drop {
  where: string;
  reason: string;
  packets: bigint;
}

export const drops: ResourceTable<Drop> = {
  plural: "drops",
  toJSON: (d) => ({ where: d.where, reason: d.reason, packets: d.packets.toString() }),
  columns: { WHERE: (d) => d.where, REASON: (d) => d.reason, PACKETS: (d) => d.packets },
};
