import type { Grant } from "#gen/plenum/common/v1/common.ts";
import type { InterfaceAccess } from "#gen/plenum/nivc/v1/interface.ts";
import type { InterfaceSpec } from "#gen/plenum/nivc/v1/interface_service.ts";
import { isId, parseId } from "#lib/ids/ids.ts";
import { formatAddress } from "#lib/net/address.ts";
import type { Address } from "#lib/net/address.ts";
import { assignableRange, containsAddress, isReserved } from "#lib/net/cidr.ts";
import type { Cidr } from "#lib/net/cidr.ts";
import { invalidArgument } from "#lib/rpc/errors.ts";
import { descriptionField, displayName } from "#lib/rpc/name.ts";
import { tagsField, timeField } from "../../call/api.ts";
import type { Wanted } from "../../consent/api.ts";
import { addressField, integer, listOf } from "#lib/rpc/validate.ts";

const MAX_ADDRESSES = 16;
const MAX_GROUPS = 5;
const MAX_GRANTS = 100;
const MAX_DNS_SERVERS = 4;

/** The lists of who may do what, beside the owner, and the action that each allows (N10). */
export const ACCESS_ACTIONS = {
  attachers: "nivc:AttachInterface",
  detachers: "nivc:DetachInterface",
  addressSetters: "nivc:SetAddresses",
  modifiers: "nivc:UpdateInterface",
} as const;

export type AccessList = keyof typeof ACCESS_ACTIONS;
export const ACCESS_LISTS = Object.keys(ACCESS_ACTIONS) as AccessList[];

const FIELD_OF: Readonly<Record<AccessList, string>> = {
  attachers: "attachers",
  detachers: "detachers",
  addressSetters: "address_setters",
  modifiers: "modifiers",
};

/** What entries of a list may bound by number; undefined: nothing. */
export const COUNTED: Readonly<Partial<Record<AccessList, string>>> = { attachers: "attachments" };
const MAX_MAXIMUM = 1_000_000_000;

/** Who is allowed, by list. */
export type Access = Readonly<Record<AccessList, readonly Wanted[]>>;

/** A specification whose form is right. What depends on other resources is not checked yet. */
export interface CheckedSpec {
  readonly subnetId: string;
  readonly addresses: readonly Address[];
  readonly securityGroupIds: readonly string[];
  readonly name: string;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly sourceDestCheck: boolean;
  readonly dnsServers: readonly string[];
  readonly access: Access;
  /** "": the subnet's owner. */
  readonly payerAccount: string;
}

/** 1 to 5 different groups; `allowNone`: or none. INVALID_ARGUMENT. */
export function checkGroups(ids: readonly string[], field: string, allowNone: boolean): readonly string[] {
  listOf(ids, field, { min: allowNone ? 0 : 1, max: MAX_GROUPS });
  ids.forEach((id, index) => parseId("sg", id, `${field}[${index}]`));
  if (new Set(ids).size !== ids.length) throw invalidArgument(field, "names a group twice", "name each group once");
  return ids;
}

/** Up to 4 different IPv4 addresses of hosts. INVALID_ARGUMENT. */
export function checkDnsServers(servers: readonly string[], field: string): readonly string[] {
  listOf(servers, field, { max: MAX_DNS_SERVERS });
  const addresses = servers.map((server, index) => {
    const address = addressField(server, `${field}[${index}]`, 4);
    // 0/8 is "this host", 224/4 and above are groups: nobody answers from there.
    const first = Number(address.value >> 24n);
    if (first === 0 || first >= 224)
      throw invalidArgument(
        `${field}[${index}]`,
        `is ${formatAddress(address)}, which is no host's address`,
        "give the address of a DNS server",
      );
    return formatAddress(address);
  });
  if (new Set(addresses).size !== addresses.length) throw invalidArgument(field, "names an address twice", "name each server once");
  return addresses;
}

/** One entry of a list. */
function checkGrant(grant: Grant, list: AccessList, path: string): Wanted {
  const validFrom = timeField(grant.validFrom, `${path}.valid_from`) ?? null;
  const validUntil = timeField(grant.validUntil, `${path}.valid_until`) ?? null;
  if (validFrom !== null && validUntil !== null && validFrom >= validUntil)
    throw invalidArgument(`${path}.valid_until`, "is not after valid_from", "give a later time");
  const maximum = grant.maxAttachments;
  if (maximum !== undefined && COUNTED[list] === undefined)
    throw invalidArgument(`${path}.max_attachments`, "is set", "it bounds what attachers do: leave it out here");
  return {
    accountId: parseId("acct", grant.accountId, `${path}.account_id`),
    principalId: displayName(grant.principalId, `${path}.principal_id`, { max: 128 }),
    validFrom,
    validUntil,
    maximum: maximum === undefined ? null : integer(maximum, `${path}.max_attachments`, { min: 1, max: MAX_MAXIMUM }),
  };
}

/** Lists of who is allowed; the same entry twice in one list counts once. INVALID_ARGUMENT. */
export function checkAccess(access: InterfaceAccess | undefined, field: string): Access {
  const entries = (list: AccessList): readonly Wanted[] => {
    const path = `${field}.${FIELD_OF[list]}`;
    const wanted = new Map<string, Wanted>();
    for (const [index, grant] of listOf(access?.[list] ?? [], path, { max: MAX_GRANTS }).entries()) {
      const one = checkGrant(grant, list, `${path}[${index}]`);
      const key = `${one.accountId} ${one.principalId}`;
      const other = wanted.get(key);
      if (other !== undefined && JSON.stringify(other) !== JSON.stringify(one))
        throw invalidArgument(`${path}[${index}]`, "names whom another entry names, on other terms", "name each account or principal once");
      wanted.set(key, one);
    }
    return [...wanted.values()];
  };
  return {
    attachers: entries("attachers"),
    detachers: entries("detachers"),
    addressSetters: entries("addressSetters"),
    modifiers: entries("modifiers"),
  };
}

/** At most 16 different IPv4 addresses. INVALID_ARGUMENT. */
export function checkAddresses(list: readonly string[], field: string): readonly Address[] {
  listOf(list, field, { max: MAX_ADDRESSES });
  const addresses = list.map((address, index) => addressField(address, `${field}[${index}]`, 4));
  if (new Set(addresses.map(formatAddress)).size !== addresses.length)
    throw invalidArgument(field, "names an address twice", "name each address once");
  return addresses;
}

/** The form of a specification. INVALID_ARGUMENT names the field under `path` ("spec", "specs[3]"). */
export function checkSpec(spec: InterfaceSpec, path: string): CheckedSpec {
  const addresses = checkAddresses(spec.privateAddresses, `${path}.private_addresses`);
  if (spec.payerAccount !== "" && !isId("acct", spec.payerAccount)) parseId("acct", spec.payerAccount, `${path}.payer_account`);
  return {
    subnetId: parseId("subnet", spec.subnetId, `${path}.subnet_id`),
    addresses,
    securityGroupIds: checkGroups(spec.securityGroupIds, `${path}.security_group_ids`, true),
    name: displayName(spec.name, `${path}.name`),
    description: descriptionField(spec.description, `${path}.description`),
    tags: tagsField(spec.tags, `${path}.tags`),
    sourceDestCheck: spec.sourceDestCheck ?? true,
    dnsServers: checkDnsServers(spec.dnsServers, `${path}.dns_servers`),
    access: checkAccess(spec.access, `${path}.access`),
    payerAccount: spec.payerAccount,
  };
}

/** Whether a subnet may give this address to an interface. INVALID_ARGUMENT (ADDRESS_NOT_IN_SUBNET). */
export function checkFits(address: Address, subnet: Cidr, names: { field: string; subnetId: string; cidrBlock: string }): void {
  const text = formatAddress(address);
  const facts = { address: text, subnet: names.subnetId };
  const range = assignableRange(subnet);
  const remedy =
    range === undefined
      ? "the subnet has no address for interfaces"
      : `choose one of ${formatAddress({ family: subnet.family, value: range.first })} to ${formatAddress({ family: subnet.family, value: range.last })}`;
  if (!containsAddress(subnet, address))
    throw invalidArgument(names.field, `is ${text}, which is not in ${names.cidrBlock}`, remedy, "ADDRESS_NOT_IN_SUBNET", facts);
  if (isReserved(subnet, address))
    throw invalidArgument(names.field, `is ${text}, which the network keeps for itself`, remedy, "ADDRESS_NOT_IN_SUBNET", facts);
}
