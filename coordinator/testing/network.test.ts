import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Direction, Protocol, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import type { Subnet } from "#gen/plenum/network/v1/subnet.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import type { Vpc } from "#gen/plenum/network/v1/vpc.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { newId } from "#lib/ids/ids.ts";
import { cidr, overlaps } from "#lib/net/cidr.ts";
import type { Role } from "#lib/rpc/caller.ts";
import { decide, SEE, subjectOf } from "../call/api.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCoordinator } from "./coordinator.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";

// N17: VPCs and their subnets, and who may see them.

let system: TestCoordinator;
let a: string;
let b: string;
beforeAll(async () => {
  system = await startTestCoordinator();
  const topology = await system.client(TopologyServiceDefinition, { role: "operator" });
  await topology.createZone({ zoneId: "north-1", regionId: "north" });
});
afterAll(() => system?.stop());
beforeEach(async () => {
  [a, b] = [await system.account(), await system.account()];
});

const as = async (accountId: string, role: Role = "owner") => ({
  vpcs: await system.client(VpcServiceDefinition, { role, accountId }),
  subnets: await system.client(SubnetServiceDefinition, { role, accountId }),
  groups: await system.client(SecurityGroupServiceDefinition, { role, accountId }),
});
const REQUEST = { cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } };
const newVpc = async (accountId: string): Promise<{ vpc: Vpc; subnet: Subnet }> => {
  const { vpc, firstSubnet } = await (await as(accountId)).vpcs.createVpc(REQUEST);
  if (vpc === undefined || firstSubnet === undefined) throw new Error("no VPC");
  return { vpc, subnet: firstSubnet };
};
const vniOf = async (vpcId: string): Promise<number> =>
  (await sql<{ vni: number }>`SELECT vni FROM vpc WHERE vpc_id = ${vpcId}`.execute(system.db.kysely)).rows[0]?.vni ?? 0;

describe("a VPC", () => {
  it("starts with a subnet and a group that lets everything out and nothing in", async () => {
    const { vpcs, groups, subnets } = await as(a);
    const { vpc, firstSubnet } = await vpcs.createVpc({
      ...REQUEST,
      name: "prod",
      tags: { team: "x" },
      firstSubnet: { cidrBlock: "10.0.1.0/24", zoneId: "north-1" },
    });
    expect(vpc).toMatchObject({ ownerAccount: a, name: "prod", cidrBlock: "10.0.0.0/16", tags: { team: "x" }, etag: "1" });
    expect(firstSubnet).toMatchObject({
      vpcId: vpc?.vpcId,
      ownerAccount: a,
      cidrBlock: "10.0.1.0/24",
      zoneId: "north-1",
      availableAddressCount: 252n,
    });
    expect((await subnets.getSubnet({ subnetId: firstSubnet?.subnetId ?? "" })).subnet).toEqual(firstSubnet);
    expect((await vpcs.getVpc({ vpcId: vpc?.vpcId ?? "" })).vpc).toEqual(vpc);
    const { securityGroup } = await groups.getSecurityGroup({ securityGroupId: vpc?.defaultSecurityGroupId ?? "" });
    expect(securityGroup?.rules).toMatchObject([
      { direction: Direction.EGRESS, protocol: Protocol.UNSPECIFIED, portFrom: 0, portTo: 0, peer: { value: "0.0.0.0/0" } },
    ]);
    expect(securityGroup).toMatchObject({ name: "default", vpcId: vpc?.vpcId });
  });

  it("may have the block of another: network id and VNI tell them apart, and are never given out again", async () => {
    const seen = new Set<string>();
    let last = 0;
    for (let index = 0; index < 4; index += 1) {
      const { vpc, subnet } = await newVpc(index % 2 === 0 ? a : b);
      const vni = await vniOf(vpc.vpcId);
      expect(vni).toBeGreaterThanOrEqual(4_096);
      expect(vni).toBeGreaterThan(last);
      last = vni;
      seen.add(`${vpc.networkId}`);
      const owner = await as(vpc.ownerAccount);
      await owner.subnets.deleteSubnet({ subnetId: subnet.subnetId });
      await owner.vpcs.deleteVpc({ vpcId: vpc.vpcId });
    }
    expect(seen.size).toBe(4);
  });

  it("is refused when every VNI was given out, and says so", async () => {
    const { vpcs } = await as(a);
    const { rows } = await sql<{ last: number }>`SELECT last_value AS last FROM vni`.execute(system.db.kysely);
    await sql`SELECT setval('vni', 16777214)`.execute(system.db.kysely);
    try {
      const { vpc } = await vpcs.createVpc(REQUEST);
      expect(await vniOf(vpc?.vpcId ?? "")).toBe(2 ** 24 - 1);
      expect(await refusalOfCall(vpcs.createVpc(REQUEST))).toMatchObject({ status: "RESOURCE_EXHAUSTED", reason: "LIMIT_EXCEEDED" });
    } finally {
      await sql`SELECT setval('vni', ${String(rows[0]?.last ?? 4_096)}::bigint)`.execute(system.db.kysely);
    }
  });

  it("is made once for calls with one request_id, however many run at once, whatever the order of its tags", async () => {
    const { vpcs } = await as(a);
    const request = { ...REQUEST, requestId: "v1" };
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        vpcs.createVpc({ ...request, tags: index % 2 === 0 ? { x: "1", y: "2" } : { y: "2", x: "1" } }),
      ),
    );
    expect(new Set(all.map(({ vpc }) => vpc?.vpcId)).size).toBe(1);
    expect(all[1]).toEqual(all[0]);
    expect((await vpcs.listVpcs({})).vpcs).toHaveLength(1);
    expect(await refusalOfCall(vpcs.createVpc({ ...request, name: "other" }))).toMatchObject({
      status: "ALREADY_EXISTS",
      reason: "REQUEST_ID_REUSED",
      facts: { request_id: "v1" },
    });
  });

  it.each([
    ["no block", { cidrBlock: "" }, "cidr_block"],
    ["host bits", { cidrBlock: "10.0.0.1/16" }, "cidr_block"],
    ["a block too large", { cidrBlock: "10.0.0.0/7" }, "cidr_block"],
    ["a block too small", { cidrBlock: "10.0.0.0/29" }, "cidr_block"],
    ["IPv6", { cidrBlock: "fd00::/16" }, "cidr_block"],
    ["no subnet", { firstSubnet: undefined }, "first_subnet"],
    ["a subnet outside", { firstSubnet: { cidrBlock: "10.1.0.0/24" } }, "first_subnet.cidr_block"],
    ["a subnet larger than itself", { firstSubnet: { cidrBlock: "10.0.0.0/15" } }, "first_subnet.cidr_block"],
    ["a subnet too small", { firstSubnet: { cidrBlock: "10.0.0.0/29" } }, "first_subnet.cidr_block"],
    ["no zone's name", { firstSubnet: { cidrBlock: "10.0.0.0/24", zoneId: "North!" } }, "first_subnet.zone_id"],
    ["a long name", { name: "x".repeat(129) }, "name"],
    ["a long tag", { tags: { k: "v".repeat(257) } }, 'tags["k"]'],
    ["too many tags", { tags: Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`k${index}`, ""])) }, "tags"],
    ["no account's id", { ownerAccount: "me" }, "owner_account"],
  ])("is refused with %s", async (_title, wrong, field) => {
    const refusal = await refusalOfCall((await as(a)).vpcs.createVpc({ ...REQUEST, ...wrong }));
    expect(refusal).toMatchObject({ status: "INVALID_ARGUMENT", violations: [{ field }] });
    expect(refusal.violations[0]?.description).toMatch(/: |is missing|it is required/);
  });

  it("tells which block was meant when host bits are set", async () => {
    expect((await refusalOfCall((await as(a)).vpcs.createVpc({ ...REQUEST, cidrBlock: "10.0.0.1/16" }))).message).toContain(
      "did you mean 10.0.0.0/16?",
    );
  });

  it("is made by an operator for an account that it names", async () => {
    const operator = await system.client(VpcServiceDefinition, { role: "operator" });
    expect((await operator.createVpc({ ...REQUEST, ownerAccount: a })).vpc?.ownerAccount).toBe(a);
    expect(await refusalOfCall(operator.createVpc(REQUEST))).toMatchObject({ violations: [{ field: "owner_account" }] });
    expect(await reasonOf(operator.createVpc({ ...REQUEST, ownerAccount: newId("acct") }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    const { vpcs } = await as(a);
    expect(await reasonOf(vpcs.createVpc({ ...REQUEST, ownerAccount: b }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    expect(await reasonOf(vpcs.createVpc({ ...REQUEST, firstSubnet: { cidrBlock: "10.0.0.0/24", zoneId: "nowhere" } }))).toBe(
      "NOT_FOUND RESOURCE_NOT_FOUND",
    );
    expect((await operator.listVpcs({ ownerAccount: a })).vpcs.map((vpc) => vpc.ownerAccount)).toEqual([a]);
    expect((await vpcs.listVpcs({ ownerAccount: b })).vpcs).toEqual([]);
  });

  it("goes only when it is empty, and takes its default group along", async () => {
    const { vpcs, subnets, groups } = await as(a);
    const { vpc, subnet } = await newVpc(a);
    const { securityGroup } = await groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "web" });
    const ids = [subnet.subnetId, securityGroup?.securityGroupId ?? ""];
    const refusal = await refusalOfCall(vpcs.deleteVpc({ vpcId: vpc.vpcId }));
    expect(refusal).toMatchObject({ status: "FAILED_PRECONDITION", reason: "HAS_DEPENDANTS", facts: { blockers: ids.join(",") } });
    await groups.deleteSecurityGroup({ securityGroupId: ids[1] ?? "" });
    await subnets.deleteSubnet({ subnetId: subnet.subnetId });
    expect(await refusalOfCall(vpcs.deleteVpc({ vpcId: vpc.vpcId, etag: "9" }))).toMatchObject({ status: "ABORTED", reason: "STALE_ETAG" });
    await vpcs.deleteVpc({ vpcId: vpc.vpcId, etag: vpc.etag });
    expect(await reasonOf(vpcs.deleteVpc({ vpcId: vpc.vpcId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    expect(await reasonOf(groups.getSecurityGroup({ securityGroupId: vpc.defaultSecurityGroupId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });
});

describe("another account", () => {
  it("meets the same NOT_FOUND as for what never was, in whatever it asks, and whatever is wrong besides", async () => {
    const { vpc, subnet } = await newVpc(a);
    const { vpcs, subnets, groups } = await as(b);
    const asks = (ids: { vpcId: string; subnetId: string; securityGroupId: string }): Promise<unknown>[] => [
      vpcs.getVpc(ids),
      vpcs.deleteVpc({ ...ids, etag: "wrong" }),
      subnets.createSubnet({ ...ids, cidrBlock: "192.168.0.0/24" }),
      subnets.createSubnet({ ...ids, cidrBlock: "10.0.0.0/24", zoneId: "nowhere" }),
      subnets.getSubnet(ids),
      subnets.deleteSubnet({ ...ids, etag: "wrong" }),
      groups.createSecurityGroup({ ...ids, name: "default" }),
      groups.getSecurityGroup(ids),
      groups.replaceSecurityGroupRules({ ...ids, etag: "wrong" }),
      groups.deleteSecurityGroup(ids),
    ];
    const real = { vpcId: vpc.vpcId, subnetId: subnet.subnetId, securityGroupId: vpc.defaultSecurityGroupId };
    const never = { vpcId: newId("vpc"), subnetId: newId("subnet"), securityGroupId: newId("sg") };
    const blank = (text: string): string => text.replaceAll(/[0-9a-f]{32}/g, "…");
    const [hidden, absent] = [await Promise.all(asks(real).map(refusalOfCall)), await Promise.all(asks(never).map(refusalOfCall))];
    for (const [index, refusal] of hidden.entries()) {
      expect(refusal).toMatchObject({ status: "NOT_FOUND", reason: "RESOURCE_NOT_FOUND" });
      expect(blank(JSON.stringify(refusal))).toBe(blank(JSON.stringify(absent[index])));
    }
    expect((await vpcs.listVpcs({})).vpcs).toEqual([]);
    expect((await subnets.listSubnets({ vpcId: vpc.vpcId })).subnets).toEqual([]);
    expect((await groups.listSecurityGroups({ vpcId: vpc.vpcId })).securityGroups).toEqual([]);
  });
});

describe("lists", () => {
  it("hold exactly what the decision lets each caller see", async () => {
    for (const owner of [a, b, a]) await newVpc(owner);
    const all = (
      await sql<{ id: string; ownerAccount: string }>`SELECT vpc_id AS id, owner_account AS "ownerAccount" FROM vpc`.execute(
        system.db.kysely,
      )
    ).rows;
    const callers: { role: Role; accountId: string }[] = [
      { role: "operator", accountId: "" },
      { role: "owner", accountId: a },
      { role: "viewer", accountId: a },
      { role: "owner", accountId: b },
      { role: "owner", accountId: newId("acct") },
    ];
    for (const { role, accountId } of callers) {
      const subject = subjectOf({ kind: role === "operator" ? "operator" : "account", principalId: "alice", accountId, roles: [role] });
      const wanted = all.filter((vpc) => decide(subject, SEE, { kind: "VPC", ...vpc }).effect === "allow").map((vpc) => vpc.id);
      const listed = (await (await as(accountId, role)).vpcs.listVpcs({ pageSize: 1_000 })).vpcs.map((vpc) => vpc.vpcId);
      expect(listed).toEqual(wanted.toSorted());
    }
  });
});

describe("a viewer", () => {
  it("reads everything of the account and writes nothing", async () => {
    const { vpc, subnet } = await newVpc(a);
    const { vpcs, subnets, groups } = await as(a, "viewer");
    expect((await vpcs.listVpcs({})).vpcs).toEqual([vpc]);
    expect((await subnets.listSubnets({})).subnets).toEqual([subnet]);
    expect((await groups.listSecurityGroups({})).securityGroups).toHaveLength(1);
    const writes = [
      vpcs.createVpc(REQUEST),
      vpcs.deleteVpc({ vpcId: vpc.vpcId }),
      subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock: "10.0.9.0/24" }),
      subnets.deleteSubnet({ subnetId: subnet.subnetId }),
      groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "x" }),
      groups.replaceSecurityGroupRules({ securityGroupId: vpc.defaultSecurityGroupId }),
      groups.deleteSecurityGroup({ securityGroupId: vpc.defaultSecurityGroupId }),
    ];
    expect(new Set(await Promise.all(writes.map(reasonOf)))).toEqual(new Set(["PERMISSION_DENIED NOT_ALLOWED"]));
  });
});

describe("a subnet", () => {
  it("is refused where it overlaps another, by whose name", async () => {
    const { subnets } = await as(a);
    const { vpc, subnet } = await newVpc(a);
    for (const cidrBlock of ["10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/16"]) {
      const refusal = await refusalOfCall(subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock }));
      expect(refusal).toMatchObject({
        status: "FAILED_PRECONDITION",
        reason: "CIDR_OVERLAP",
        facts: { cidr: cidrBlock, conflicts_with: subnet.subnetId },
      });
    }
    expect(await refusalOfCall(subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock: "10.1.0.0/24" }))).toMatchObject({
      violations: [{ field: "cidr_block" }],
    });
    expect(await refusalOfCall(subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock: "10.0.1.0/29" }))).toMatchObject({
      violations: [{ field: "cidr_block" }],
    });
    expect(await reasonOf(subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock: "10.0.1.0/24", zoneId: "nowhere" }))).toBe(
      "NOT_FOUND RESOURCE_NOT_FOUND",
    );
    expect((await subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock: "10.0.1.0/24" })).subnet?.zoneId).toBe("");
  });

  it("of many made at once never overlaps another that was made", async () => {
    const { subnets } = await as(a);
    const { vpc } = await newVpc(a);
    const wanted = [
      "10.0.16.0/20",
      "10.0.16.0/24",
      "10.0.17.0/24",
      "10.0.16.0/24",
      "10.0.16.128/25",
      "10.0.18.0/23",
      "10.0.16.0/21",
      "10.0.31.0/28",
    ];
    const outcomes = await Promise.allSettled(wanted.map((cidrBlock) => subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock })));
    expect(outcomes.some((outcome) => outcome.status === "fulfilled")).toBe(true);
    const refusals = outcomes.filter((outcome) => outcome.status === "rejected").map((outcome) => reasonOf(Promise.reject(outcome.reason)));
    expect(new Set(await Promise.all(refusals))).toEqual(new Set(["FAILED_PRECONDITION CIDR_OVERLAP"]));
    const blocks = (await subnets.listSubnets({ vpcId: vpc.vpcId })).subnets.map((subnet) => cidr(subnet.cidrBlock));
    expect(blocks.length).toBe(1 + outcomes.filter((outcome) => outcome.status === "fulfilled").length);
    for (const [index, one] of blocks.entries()) for (const other of blocks.slice(index + 1)) expect(overlaps(one, other)).toBe(false);
  });

  it("is listed in pages of its VPC, and a page token holds for that question only", async () => {
    const { subnets } = await as(a);
    const { vpc, subnet } = await newVpc(a);
    const other = await newVpc(a);
    const ids = [subnet.subnetId];
    for (let index = 1; index <= 4; index += 1)
      ids.push((await subnets.createSubnet({ vpcId: vpc.vpcId, cidrBlock: `10.0.${index}.0/24` })).subnet?.subnetId ?? "");
    const paged: string[] = [];
    let first = "";
    for (let pageToken = ""; ;) {
      const page = await subnets.listSubnets({ vpcId: vpc.vpcId, pageSize: 2, pageToken });
      paged.push(...page.subnets.map(({ subnetId }) => subnetId));
      if (page.nextPageToken === "") break;
      pageToken = page.nextPageToken;
      first ||= pageToken;
    }
    expect(paged).toEqual(ids);
    expect(await reasonOf(subnets.listSubnets({ vpcId: other.vpc.vpcId, pageToken: first }))).toBe("INVALID_ARGUMENT BAD_PAGE_TOKEN");
    expect(await reasonOf((await as(b)).subnets.listSubnets({ vpcId: vpc.vpcId, pageToken: first }))).toBe(
      "INVALID_ARGUMENT BAD_PAGE_TOKEN",
    );
  });
});
