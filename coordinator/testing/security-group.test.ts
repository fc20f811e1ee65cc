import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { Direction, Protocol, SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import type { Subnet } from "#gen/plenum/network/v1/subnet.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import type { Vpc } from "#gen/plenum/network/v1/vpc.ts";
import { newId } from "#lib/ids/ids.ts";
import { PlenumError } from "#lib/rpc/errors.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { compiledRulesets, groupSetFor } from "../network/api.ts";
import type { Blocker, RulesetChange } from "../network/api.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCoordinator } from "./coordinator.ts";
import { lockAwaited } from "./locks.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";

const anywhere = { $case: "cidr" as const, value: "0.0.0.0/0" };
const tcp = (port: number) => ({ direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: port, portTo: port, peer: anywhere });

let system: TestCoordinator;
let groups: PlenumClient<typeof SecurityGroupServiceDefinition>;
let accountId: string;
let vpc: Vpc;
let subnet: Subnet;
/** What the later modules would be told. */
const changes: RulesetChange[] = [];
/** What the later modules would say. */
let blockers: Blocker[] = [];
let named = 0n;
/** What they would do when they are told. */
let onChange = (): Promise<void> => Promise.resolve();

/** Passed once it was opened, at the latest when the test has ended. */
function gate(): { passed: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  onTestFinished(() => resolve());
  return { passed: promise, open: resolve };
}

beforeAll(async () => {
  system = await startTestCoordinator();
  system.network.onRulesetsChanged(async (_call, list) => {
    await onChange();
    changes.push(...list);
  });
  system.network.registerBlockers("security_group", () => Promise.resolve({ named: blockers, more: 0 }));
  system.network.registerBlockers("subnet", () => Promise.resolve({ named: blockers, more: 0 }));
  system.network.countNamedAddresses((_tx, ids) => Promise.resolve(new Map(ids.map((id) => [id, named]))));
});
afterAll(() => system?.stop());
beforeEach(async () => {
  changes.length = 0;
  blockers = [];
  onChange = () => Promise.resolve();
  accountId = await system.account();
  groups = await system.client(SecurityGroupServiceDefinition, { role: "owner", accountId });
  const vpcs = await system.client(VpcServiceDefinition, { role: "owner", accountId });
  const made = await vpcs.createVpc({ cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } });
  if (made.vpc === undefined || made.firstSubnet === undefined) throw new Error("no VPC");
  vpc = made.vpc;
  subnet = made.firstSubnet;
});

const newGroup = async (name: string, rules: ReturnType<typeof tcp>[] = []): Promise<string> =>
  (await groups.createSecurityGroup({ vpcId: vpc.vpcId, name, rules })).securityGroup?.securityGroupId ?? "";
const setOf = (...ids: string[]) =>
  system.network.withGroupSets(async () => (await system.calls.internal((call) => groupSetFor(call.tx, vpc.vpcId, ids))).result);
const rulesetOf = async (rulesetId: number) =>
  (await system.calls.internal((call) => compiledRulesets(call.tx, [rulesetId]))).result.get(rulesetId);
const portsOf = async (rulesetId: number): Promise<number[]> => (await rulesetOf(rulesetId))?.rules.map((rule) => rule.portFrom) ?? [];

describe("a security group", () => {
  it("keeps its rules as they were given, and has a name of its own in the VPC", async () => {
    const rules = [
      { ...tcp(443), description: "web" },
      {
        direction: Direction.EGRESS,
        protocol: Protocol.ICMP,
        portFrom: 8,
        portTo: 8,
        peer: { $case: "cidr" as const, value: "10.0.0.0/8" },
        description: "",
      },
    ];
    const { securityGroup } = await groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "web", description: "d", rules });
    expect(securityGroup).toMatchObject({ vpcId: vpc.vpcId, ownerAccount: accountId, name: "web", description: "d", rules });
    expect((await groups.getSecurityGroup({ securityGroupId: securityGroup?.securityGroupId ?? "" })).securityGroup).toEqual(securityGroup);
    expect(await refusalOfCall(groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "web" }))).toMatchObject({
      status: "ALREADY_EXISTS",
      reason: "NAME_TAKEN",
      facts: { name: "web" },
    });
    const listed = (await groups.listSecurityGroups({ vpcId: vpc.vpcId })).securityGroups.map((group) => group.name);
    expect(listed).toEqual(["default", "web"]);
  });

  it.each([
    ["no direction", { ...tcp(1), direction: Direction.UNSPECIFIED }, "rules[0].direction"],
    ["an unknown direction", { ...tcp(1), direction: 3 as Direction }, "rules[0].direction"],
    ["an unknown protocol", { ...tcp(1), protocol: 99 as Protocol }, "rules[0].protocol"],
    ["ports of any protocol", { ...tcp(1), protocol: Protocol.UNSPECIFIED }, "rules[0].port_from"],
    ["a port too high", tcp(65_536), "rules[0].port_from"],
    ["ports the wrong way round", { ...tcp(2), portTo: 1 }, "rules[0].port_to"],
    ["an ICMP type too high", { ...tcp(0), protocol: Protocol.ICMP, portTo: 256 }, "rules[0].port_to"],
    ["no peer", { ...tcp(1), peer: undefined }, "rules[0].cidr"],
    ["host bits", { ...tcp(1), peer: { $case: "cidr" as const, value: "10.0.0.1/8" } }, "rules[0].cidr"],
    ["an IPv6 peer", { ...tcp(1), peer: { $case: "cidr" as const, value: "::/0" } }, "rules[0].cidr"],
    ["a long description", { ...tcp(1), description: "x".repeat(257) }, "rules[0].description"],
  ])("is refused with %s", async (_title, rule, field) => {
    const refusal = await refusalOfCall(groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "x", rules: [rule] }));
    expect(refusal).toMatchObject({ status: "INVALID_ARGUMENT", violations: [{ field }] });
    const replacing = await refusalOfCall(groups.replaceSecurityGroupRules({ securityGroupId: vpc.defaultSecurityGroupId, rules: [rule] }));
    expect(replacing.violations).toEqual(refusal.violations);
  });

  it("has at most 60 rules and a name", async () => {
    const many = Array.from({ length: 61 }, (_, index) => tcp(index + 1));
    expect(await refusalOfCall(groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "x", rules: many }))).toMatchObject({
      reason: "LIMIT_EXCEEDED",
      facts: { limit: "60" },
    });
    expect((await groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "x", rules: many.slice(1) })).securityGroup?.rules).toHaveLength(60);
    expect(await refusalOfCall(groups.createSecurityGroup({ vpcId: vpc.vpcId, name: "" }))).toMatchObject({
      violations: [{ field: "name" }],
    });
  });

  it("goes unless something carries it or it is the VPC's default; what is another's is not named", async () => {
    const id = await newGroup("web");
    expect(await refusalOfCall(groups.deleteSecurityGroup({ securityGroupId: vpc.defaultSecurityGroupId }))).toMatchObject({
      reason: "HAS_DEPENDANTS",
      facts: { blockers: vpc.vpcId },
    });
    blockers = [
      { kind: "interface", id: "eni-1", ownerAccount: accountId, remedy: "" },
      { kind: "interface", id: "eni-2", ownerAccount: newId("acct"), remedy: "" },
    ];
    expect(await refusalOfCall(groups.deleteSecurityGroup({ securityGroupId: id }))).toMatchObject({
      status: "FAILED_PRECONDITION",
      reason: "HAS_DEPENDANTS",
      facts: { blockers: "eni-1", more: "1" },
    });
    blockers = [];
    expect(await reasonOf(groups.deleteSecurityGroup({ securityGroupId: id, etag: "7" }))).toBe("ABORTED STALE_ETAG");
    await groups.deleteSecurityGroup({ securityGroupId: id });
    expect(await reasonOf(groups.deleteSecurityGroup({ securityGroupId: id }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });
});

describe("a subnet", () => {
  it("counts the addresses that nobody names, and stays while interfaces are in it", async () => {
    const subnets = await system.client(SubnetServiceDefinition, { role: "owner", accountId });
    named = 52n;
    const { subnetId } = subnet;
    expect((await subnets.getSubnet({ subnetId })).subnet?.availableAddressCount).toBe(200n);
    expect((await subnets.listSubnets({})).subnets.map((one) => one.availableAddressCount)).toEqual([200n]);
    blockers = [{ kind: "interface", id: "eni-1", ownerAccount: accountId, remedy: "" }];
    expect(await refusalOfCall(subnets.deleteSubnet({ subnetId }))).toMatchObject({
      reason: "HAS_DEPENDANTS",
      facts: { blockers: "eni-1" },
    });
    blockers = [];
    await subnets.deleteSubnet({ subnetId });
    expect(await reasonOf(subnets.getSubnet({ subnetId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });
});

describe("a group set", () => {
  it("is one number however its groups are named and however many ask at once", async () => {
    const [x, y] = [await newGroup("x", [tcp(1)]), await newGroup("y", [tcp(2)])];
    const sets = await Promise.all(
      [
        [x, y],
        [y, x],
        [x, y, x],
        [y, x],
        [x, y],
        [y, y, x],
      ].map((ids) => setOf(...ids)),
    );
    expect(new Set(sets.map((set) => `${set.groupSetId} ${set.rulesetId}`)).size).toBe(1);
    expect((await setOf(x)).groupSetId).not.toBe(sets[0]?.groupSetId);
    const item = await rulesetOf(sets[0]?.rulesetId ?? 0);
    expect(item).toMatchObject({ rulesetId: sets[0]?.rulesetId, wanted: Wanted.PRESENT });
    const rule = { egress: false, protocol: 6, peerCidr: "0.0.0.0/0", peerIsGroup: false, peerGroupSetIds: [], peerGroupId: "" };
    expect(item?.rules).toEqual([1, 2].map((port) => ({ ...rule, portFrom: port, portTo: port })));
  });

  it("is of groups of one VPC", async () => {
    const x = await newGroup("x");
    for (const ids of [[x, newId("sg")], [newId("sg")]]) {
      await expect(setOf(...ids)).rejects.toSatisfy((error) => error instanceof PlenumError && error.reason === "RESOURCE_NOT_FOUND");
    }
    await expect(system.calls.internal((call) => groupSetFor(call.tx, newId("vpc"), [x]))).rejects.toThrow(PlenumError);
  });

  it("gets a new ruleset when a group's rules change, the old one stays what it was, and the hooks are told once", async () => {
    const [x, y] = [await newGroup("x", [tcp(1)]), await newGroup("y", [tcp(2)])];
    const [both, onlyX, onlyY] = [await setOf(x, y), await setOf(x), await setOf(y)];
    const { securityGroup } = await groups.replaceSecurityGroupRules({ securityGroupId: x, rules: [tcp(9)], etag: "1" });
    expect(securityGroup).toMatchObject({ etag: "2", rules: [tcp(9)] });
    expect(changes.map((change) => [change.groupSetId, change.previousRulesetId]).toSorted()).toEqual(
      [
        [both.groupSetId, both.rulesetId],
        [onlyX.groupSetId, onlyX.rulesetId],
      ].toSorted(),
    );
    const now = await setOf(x, y);
    expect(now.groupSetId).toBe(both.groupSetId);
    expect([await portsOf(both.rulesetId), await portsOf(now.rulesetId)]).toEqual([
      [1, 2],
      [2, 9],
    ]);
    expect(await setOf(y)).toEqual(onlyY);
  });

  it("keeps its ruleset when nothing that a host sees changed; a stale etag changes nothing", async () => {
    const x = await newGroup("x", [tcp(1), tcp(2)]);
    const before = await setOf(x);
    expect((await groups.replaceSecurityGroupRules({ securityGroupId: x, rules: [tcp(1), tcp(2)] })).securityGroup?.etag).toBe("1");
    expect((await groups.replaceSecurityGroupRules({ securityGroupId: x, rules: [tcp(2), tcp(1)] })).securityGroup?.etag).toBe("2");
    expect(await setOf(x)).toEqual(before);
    expect(changes).toEqual([]);
    expect(await refusalOfCall(groups.replaceSecurityGroupRules({ securityGroupId: x, rules: [], etag: "1" }))).toMatchObject({
      status: "ABORTED",
      reason: "STALE_ETAG",
      facts: { etag: "2" },
    });
    expect((await groups.getSecurityGroup({ securityGroupId: x })).securityGroup?.rules).toHaveLength(2);
  });

  it("means all of its groups' newest rules after any storm of changes", async () => {
    const ids = await Promise.all(["x", "y", "z"].map((name) => newGroup(name)));
    const [x = "", y = "", z = ""] = ids;
    const storm = Array.from({ length: 30 }, (_, index) => {
      if (index % 5 === 4) return setOf(x, y, z);
      return groups.replaceSecurityGroupRules({ securityGroupId: ids[index % 3] ?? "", rules: [tcp(1_000 * ((index % 3) + 1) + index)] });
    });
    await Promise.all(storm);
    const stored = await Promise.all(
      ids.map(async (securityGroupId) => (await groups.getSecurityGroup({ securityGroupId })).securityGroup?.rules[0]?.portFrom ?? 0),
    );
    for (const members of [[x, y, z], [x, y], [z]]) {
      const wanted = members.map((id) => stored[ids.indexOf(id)]);
      expect((await portsOf((await setOf(...members)).rulesetId)).toSorted()).toEqual(wanted.toSorted());
    }
  });

  it("used while rules are being replaced has the old rules only until then: who replaces waits and meets it", async () => {
    const x = await newGroup("x", [tcp(1)]);
    await setOf(x);
    const [held, release] = [gate(), gate()];
    const making = system.calls.internal(async (call) => {
      const set = await groupSetFor(call.tx, vpc.vpcId, [x]);
      held.open();
      await release.passed;
      return set;
    });
    await held.passed;
    const replacing = groups.replaceSecurityGroupRules({ securityGroupId: x, rules: [tcp(2)] });
    await Promise.race([replacing, lockAwaited(system.db.kysely)]);
    release.open();
    const [{ result: made }] = await Promise.all([making, replacing]);
    expect(changes.map((change) => change.groupSetId)).toEqual([made.groupSetId]);
    expect(await portsOf((await setOf(x)).rulesetId)).toEqual([2]);
  });

  it("of two groups that change at once ends with the new rules of both", async () => {
    const [x, y] = [await newGroup("x", [tcp(1)]), await newGroup("y", [tcp(2)])];
    await setOf(x, y);
    const [entered, release] = [gate(), gate()];
    onChange = async () => {
      onChange = () => Promise.resolve();
      entered.open();
      await release.passed;
    };
    const first = groups.replaceSecurityGroupRules({ securityGroupId: x, rules: [tcp(11)] });
    await entered.passed;
    const second = groups.replaceSecurityGroupRules({ securityGroupId: y, rules: [tcp(12)] });
    await lockAwaited(system.db.kysely);
    release.open();
    await Promise.all([first, second]);
    expect(await portsOf((await setOf(x, y)).rulesetId)).toEqual([11, 12]);
  });

  it("undoes the change of rules when a hook cannot follow", async () => {
    const x = await newGroup("x", [tcp(1)]);
    const before = await setOf(x);
    onChange = () => Promise.reject(new Error("no"));
    expect((await refusalOfCall(groups.replaceSecurityGroupRules({ securityGroupId: x, rules: [] }))).status).toBe("INTERNAL");
    onChange = () => Promise.resolve();
    expect(await setOf(x)).toEqual(before);
    expect((await groups.getSecurityGroup({ securityGroupId: x })).securityGroup?.rules).toHaveLength(1);
  });
});
