import { newId } from "#lib/ids/ids.ts";
import { formatAddress } from "#lib/net/address.ts";
import { cidr, routerOf } from "#lib/net/cidr.ts";
import { notFound } from "#lib/rpc/errors.ts";
import type { InterfaceSpec } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import { createConsents, newConsent } from "../consent/api.ts";
import type { NewConsent } from "../consent/api.ts";
import { existingAccounts } from "../identity/api.ts";
import { getSubnet, GroupSetsMissing, groupSetFor, lockSubnet, subnetRef } from "../network/api.ts";
import type { GroupSet, Subnet, WantedGroupSet } from "../network/api.ts";
import { checkAllFit, chooseAddresses, textsOf } from "./choose-addresses.ts";
import { ACCESS_ACTIONS, ACCESS_LISTS, COUNTED, checkSpec } from "./in/spec.ts";
import type { CheckedSpec } from "./in/spec.ts";
import { Problems } from "./core/problems.ts";
import { countInterfaces, insertInterfaces } from "./out/interface-store.ts";
import type { NewInterface } from "./out/interface-store.ts";

/** A record to make, and where its specification stands in the request ("spec", "specs[3]"). */
export interface WantedInterface {
  readonly spec: InterfaceSpec;
  readonly path: string;
}

interface Located extends CheckedSpec {
  readonly path: string;
  readonly subnet: Subnet;
}

export const interfaceRef = (of: { interface_id: string; owner_account: string }, grants: ResourceRef["grants"] = []): ResourceRef => ({
  kind: "interface",
  id: of.interface_id,
  ownerAccount: of.owner_account,
  grants,
});

/** Subnets in the order of their ids: whoever picks from several locks them in one order. */
async function lockSubnets(call: WriteCall, specs: readonly CheckedSpec[]): Promise<Map<string, Subnet>> {
  const subnets = new Map<string, Subnet>();
  for (const id of [...new Set(specs.map((spec) => spec.subnetId))].sort()) {
    const seen = await getSubnet(call.tx, id);
    if (seen === undefined) throw notFound("subnet", id);
    // Asked before it is locked: a stranger's call must not make others wait for the subnet.
    call.require("nivc:CreateInterface", subnetRef(seen));
    const subnet = await lockSubnet(call.tx, id);
    if (subnet === undefined) throw notFound("subnet", id);
    subnets.set(id, subnet);
  }
  return subnets;
}

/** Accounts that pay or are allowed something must be there; only the owner pays, unless an operator says otherwise. */
async function checkAccounts(call: WriteCall, specs: readonly Located[]): Promise<void> {
  const foreign = specs.filter((spec) => spec.payerAccount !== "" && spec.payerAccount !== spec.subnet.ownerAccount);
  for (const spec of foreign) call.require("nivc:SetPayer", { kind: "account", id: spec.payerAccount, ownerAccount: spec.payerAccount });
  const named = specs.flatMap((spec) => [
    ...ACCESS_LISTS.flatMap((list) => spec.access[list].map((one) => one.accountId)),
    ...(spec.payerAccount === "" ? [] : [spec.payerAccount]),
  ]);
  if (named.length === 0) return;
  const there = await existingAccounts(call.tx, named);
  const missing = named.find((account) => !there.has(account));
  if (missing !== undefined) throw notFound("account", missing);
}

/** The set, or a placeholder when it is missing: a batch names all that it misses at once. */
async function collectMissing(missing: WantedGroupSet[], find: () => Promise<GroupSet>): Promise<GroupSet> {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof GroupSetsMissing)) throw error;
    missing.push(...error.wanted);
    return { groupSetId: 0, rulesetId: 0 };
  }
}

/** Groups of each specification, the VPC's default where it names none, and their interned set. */
async function internGroups(
  call: WriteCall,
  specs: readonly Located[],
): Promise<Map<Located, { groups: readonly string[]; groupSetId: number }>> {
  const sets = new Map<string, GroupSet>();
  const missing: WantedGroupSet[] = [];
  const interned = new Map<Located, { groups: readonly string[]; groupSetId: number }>();
  for (const spec of specs) {
    const groups = spec.securityGroupIds.length > 0 ? spec.securityGroupIds : [spec.subnet.defaultSecurityGroupId];
    const key = [spec.subnet.vpcId, ...groups.toSorted()].join(" ");
    const set = sets.get(key) ?? (await collectMissing(missing, () => groupSetFor(call.tx, spec.subnet.vpcId, groups)));
    sets.set(key, set);
    interned.set(spec, { groups, groupSetId: set.groupSetId });
  }
  if (missing.length > 0) throw new GroupSetsMissing(missing);
  return interned;
}

/**
 * Make records in the caller's transaction: all or none. `goOn` gets their ids in the order asked for, and does what else the call is to do;
 * then they are counted: whoever ends attachments holds these, and their addresses, before the owner's count.
 * NOT_FOUND (subnet, group, account), INVALID_ARGUMENT by index, RESOURCE_EXHAUSTED (SUBNET_EXHAUSTED, LIMIT_EXCEEDED).
 */
export async function createInterfaces<Result>(
  call: WriteCall,
  wanted: readonly WantedInterface[],
  goOn: (interfaceIds: readonly string[]) => Promise<Result>,
): Promise<Result> {
  const problems = new Problems();
  const checked = wanted.map(({ spec, path }) => problems.check(() => ({ ...checkSpec(spec, path), path })));
  problems.throwIfAny();
  const forms = checked.filter((spec) => spec !== undefined);
  const subnets = await lockSubnets(call, forms);
  const specs: Located[] = forms.map((spec) => {
    const subnet = subnets.get(spec.subnetId);
    if (subnet === undefined) throw new Error("a locked subnet is missing");
    return { ...spec, subnet };
  });
  for (const { addresses, path, subnet } of specs) checkAllFit(addresses, subnet, `${path}.private_addresses`, problems);
  problems.throwIfAny();
  await checkAccounts(call, specs);
  const groups = await internGroups(call, specs);
  const addresses = await chooseAddresses(call, specs);
  const rows = specs.map((spec) => newRow(call, spec, groups.get(spec), addresses.get(spec) ?? []));
  await insertInterfaces(call, rows);
  await createConsents(
    call,
    rows.flatMap((row, index) => consentsFor(row, specs[index])),
  );
  for (const row of rows) call.concerns(interfaceRef(row));
  const result = await goOn(rows.map((row) => row.interface_id));
  await countInterfaces(call.tx, rows, 1);
  return result;
}

function newRow(
  call: WriteCall,
  spec: Located,
  groups: { groups: readonly string[]; groupSetId: number } | undefined,
  addresses: readonly bigint[],
): NewInterface {
  if (groups === undefined || addresses.length === 0) throw new Error("an interface without groups or addresses");
  const { subnet } = spec;
  const block = cidr(subnet.cidrBlock);
  return {
    interface_id: newId("eni"),
    owner_account: subnet.ownerAccount,
    payer_account: spec.payerAccount === "" ? subnet.ownerAccount : spec.payerAccount,
    created_by: call.subject.principalId,
    vpc_id: subnet.vpcId,
    subnet_id: subnet.subnetId,
    zone_id: subnet.zoneId,
    network_id: subnet.networkId,
    vni: BigInt(subnet.vni),
    addresses: textsOf(addresses, subnet),
    gateway: formatAddress(routerOf(block)),
    security_group_ids: groups.groups,
    group_set_id: BigInt(groups.groupSetId),
    name: spec.name,
    description: spec.description,
    tags: spec.tags,
    source_dest_check: spec.sourceDestCheck,
    dns_servers: spec.dnsServers,
  };
}

function consentsFor(row: NewInterface, spec: Located | undefined): NewConsent[] {
  const resource = interfaceRef(row);
  return ACCESS_LISTS.flatMap((list) =>
    (spec?.access[list] ?? []).map((one) => newConsent(resource, { action: ACCESS_ACTIONS[list], counter: COUNTED[list] }, one)),
  );
}
