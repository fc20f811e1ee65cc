import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import type { SecurityGroup } from "#gen/plenum/network/v1/security_group.ts";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// N13: rules are added and taken one by one, by callers who do not know of each other, and speak of protocols by name or by number.

let world: World;
let clients: Clients;
let vpcId: string;
let securityGroupId: string;

beforeAll(async () => {
  world = await startWorld();
  ({ clients } = await world.account());
  ({ vpcId } = await world.network(clients));
});
afterAll(() => world?.stop());

const cidr = (value: string) => ({ $case: "cidr" as const, value });
const tcp = (port: number, description = "") => ({
  ...{ direction: Direction.INGRESS, protocol: Protocol.TCP, protocolNumber: 6, portFrom: port, portTo: port },
  ...{ peer: cidr("10.0.0.0/8"), description },
});
const ports = (group: SecurityGroup | undefined): number[] => (group?.rules ?? []).map((rule) => rule.portFrom);
const read = async () => (await clients.groups.getSecurityGroup({ securityGroupId })).securityGroup;
const add = (...rules: object[]) => clients.groups.addSecurityGroupRules({ securityGroupId, rules });
const remove = (...rules: object[]) => clients.groups.removeSecurityGroupRules({ securityGroupId, rules });

let serial = 0;
beforeEach(async () => {
  serial += 1;
  const made = await clients.groups.createSecurityGroup({ vpcId, name: `g-${serial}`, rules: [tcp(1, "one")] });
  securityGroupId = made.securityGroup?.securityGroupId ?? "";
});

describe("rules of a group", () => {
  it("are all there after ten callers added one each at the same time, and all gone after ten took one each", async () => {
    const wanted = Array.from({ length: 10 }, (_, index) => index + 100);
    await Promise.all(wanted.map((port) => add(tcp(port))));
    expect(ports(await read()).sort((a, b) => a - b)).toEqual([1, ...wanted]);
    await Promise.all([...wanted.map((port) => remove(tcp(port))), add(tcp(7))]);
    expect(ports(await read())).toEqual([1, 7]);
  });

  it("are there once, and keep their descriptions; a call that changes nothing leaves the group as it was", async () => {
    const before = await read();
    const { securityGroup } = await add(tcp(1, "again"), tcp(1));
    expect(securityGroup).toEqual(before);
    expect((await add(tcp(2), tcp(2, "twice"))).securityGroup?.rules).toEqual([tcp(1, "one"), tcp(2)]);
  });

  it("are taken whatever they are described as, all or none; one that is not there is named", async () => {
    await add(tcp(2), tcp(3));
    const before = await read();
    expect(await refusalOfCall(remove(tcp(2), tcp(99)))).toMatchObject({
      status: "NOT_FOUND",
      reason: "RESOURCE_NOT_FOUND",
      facts: { kind: "rule", id: "rules[1]" },
    });
    expect(await read()).toEqual(before);
    expect(ports((await remove(tcp(1, "other words"), tcp(3))).securityGroup)).toEqual([2]);
  });

  it("are at most 60, are not none, and name groups of the VPC", async () => {
    const many = Array.from({ length: 59 }, (_, index) => tcp(index + 2));
    expect((await add(...many)).securityGroup?.rules).toHaveLength(60);
    const full = await refusalOfCall(add(tcp(999)));
    expect(full).toMatchObject({ status: "RESOURCE_EXHAUSTED", reason: "LIMIT_EXCEEDED", facts: { limit: "60", count: "60" } });
    for (const call of [add, remove]) {
      expect(await refusalOfCall(call())).toMatchObject({ status: "INVALID_ARGUMENT", violations: [{ field: "rules" }] });
    }
    await remove(...many);
    const stranger = { ...tcp(5), peer: { $case: "securityGroupId" as const, value: `sg-${"0".repeat(32)}` } };
    expect(await refusalOfCall(add(tcp(6), stranger))).toMatchObject({ violations: [{ field: "rules[1].security_group_id" }] });
  });

  it("are changed under an etag only while it is the group's, and under a request_id once", async () => {
    const { etag } = (await read())!;
    const once = { securityGroupId, rules: [tcp(2)], etag, requestId: `add-${serial}` };
    await clients.groups.addSecurityGroupRules(once);
    await remove(tcp(2));
    // What somebody took since is not put back.
    expect(ports((await clients.groups.addSecurityGroupRules(once)).securityGroup)).toEqual([1]);
    expect(await refusalOfCall(clients.groups.addSecurityGroupRules({ ...once, requestId: "" }))).toMatchObject({ reason: "STALE_ETAG" });
    expect(await refusalOfCall(clients.groups.removeSecurityGroupRules({ securityGroupId, rules: [tcp(1)], etag }))).toMatchObject({
      status: "ABORTED",
      reason: "STALE_ETAG",
    });
  });
});

describe("the protocol of a rule", () => {
  const of = (protocol: Protocol, protocolNumber: number, port = 0) => ({ ...tcp(port), protocol, protocolNumber });

  it("is given by name, by number, or by both, and answered as both", async () => {
    await remove(tcp(1));
    const { UNSPECIFIED, ICMP, TCP, UDP, NUMBERED } = Protocol;
    const { securityGroup } = await add(
      ...[of(UNSPECIFIED, 0), of(UNSPECIFIED, 6, 80), of(UDP, 0, 53), of(UDP, 17, 54)],
      ...[of(NUMBERED, 1, 8), of(UNSPECIFIED, 47), of(NUMBERED, 132, 5_000)],
    );
    const told = securityGroup?.rules.map(({ protocol, protocolNumber, portFrom }) => [protocol, protocolNumber, portFrom]);
    expect(told).toEqual([
      ...[of(UNSPECIFIED, 0), of(TCP, 6, 80), of(UDP, 17, 53), of(UDP, 17, 54)].map((one) => [
        one.protocol,
        one.protocolNumber,
        one.portFrom,
      ]),
      ...[
        [ICMP, 1, 8],
        [NUMBERED, 47, 0],
        [NUMBERED, 132, 5_000],
      ],
    ]);
    // What is read can be written as it is, and is the same.
    const again = await clients.groups.replaceSecurityGroupRules({ securityGroupId, rules: securityGroup?.rules });
    expect(again.securityGroup).toEqual(securityGroup);
  });

  it.each([
    ["a name and another's number", of(Protocol.TCP, 17), "rules[0].protocol_number"],
    ["a number that is missing", of(Protocol.NUMBERED, 0), "rules[0].protocol_number"],
    ["a number too high", of(Protocol.UNSPECIFIED, 256), "rules[0].protocol_number"],
    ["ports of a protocol that has none", of(Protocol.UNSPECIFIED, 47, 80), "rules[0].port_from"],
  ])("is refused with %s", async (_title, rule, field) => {
    expect(await refusalOfCall(add(rule))).toMatchObject({ status: "INVALID_ARGUMENT", violations: [{ field }] });
  });

  it("is what hosts are told, by number", async () => {
    const host = await world.host();
    const { subnetId } = await (async () => {
      const { subnets } = await clients.subnets.listSubnets({ vpcId });
      return subnets[0]!;
    })();
    await clients.groups.replaceSecurityGroupRules({ securityGroupId, rules: [of(Protocol.UNSPECIFIED, 47)] });
    const source = { $case: "create" as const, value: { subnetId, securityGroupIds: [securityGroupId] } };
    const { operation } = await clients.instances.runInstance({ interfaces: [{ source }] });
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    const told = [...host.rulesets.values()].flatMap((item) => item.rules);
    expect(told).toMatchObject([{ protocol: 47, portFrom: 0, portTo: 65_535, peerCidr: "10.0.0.0/8" }]);
  });
});
