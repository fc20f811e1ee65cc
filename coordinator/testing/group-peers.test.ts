import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import type { SecurityGroupRule } from "#gen/plenum/network/v1/security_group.ts";
import { newId } from "#lib/ids/ids.ts";
import type { FakeHost } from "./fake-host.ts";
import { deadlocks } from "./deadlocks.ts";
import { holdOpen, lockAwaited } from "./locks.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { Clients, TestNetwork, World } from "./world.ts";

// N13: rules whose other side is a security group, from the call to what hosts are told.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const from = (peer: string, port = 80): SecurityGroupRule => ({
  direction: Direction.INGRESS,
  protocol: Protocol.TCP,
  protocolNumber: 6,
  portFrom: port,
  portTo: port,
  peer: { $case: "securityGroupId", value: peer },
  description: "",
});

interface Scene extends TestNetwork {
  readonly clients: Clients;
  readonly host: FakeHost;
  readonly zoneId: string;
}

let zones = 0;
async function scene(): Promise<Scene> {
  zones += 1;
  const zoneId = `peers-${zones}`;
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  return { ...(await world.network(clients)), clients, host, zoneId };
}

let names = 0;
async function group({ clients, vpcId }: Scene, rules: SecurityGroupRule[] = []): Promise<string> {
  names += 1;
  const { securityGroup } = await clients.groups.createSecurityGroup({ vpcId, name: `g${names}`, rules });
  return securityGroup?.securityGroupId ?? "";
}

async function record({ clients, subnetId }: Scene, ...securityGroupIds: string[]): Promise<string> {
  return (await clients.interfaces.createInterface({ spec: { subnetId, securityGroupIds } })).interface?.interfaceId ?? "";
}

async function run({ clients, zoneId }: Scene, interfaceId: string): Promise<string> {
  const source = { $case: "interfaceId" as const, value: interfaceId };
  const { instance, operation } = await clients.instances.runInstance({ zoneId, interfaces: [{ source }] });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  return instance?.instanceId ?? "";
}

/** Group set of a record. */
async function setOf(interfaceId: string): Promise<number> {
  const { rows } = await sql<{ id: string }>`SELECT group_set_id::text AS id FROM interface WHERE interface_id = ${interfaceId}`.execute(
    world.db.kysely,
  );
  return Number(rows[0]?.id);
}

/** Peers of the rules that the host has for the attachment of an instance. */
function peersAt(host: FakeHost, instanceId: string): number[][] | undefined {
  const item = [...host.attachments.values()].find((one) => one.instanceId === instanceId);
  return host.rulesets.get(item?.rulesetId ?? 0)?.rules.map((rule) => rule.peerGroupSetIds);
}

/** Keep a record locked, as a call does that goes on for long. */
async function holdRecord(interfaceId: string) {
  const { release } = await holdOpen(world.db.kysely, (tx) =>
    sql`SELECT FROM interface WHERE interface_id = ${interfaceId} FOR UPDATE`.execute(tx),
  );
  return { release, awaited: () => lockAwaited(world.db.kysely) };
}

describe("a rule whose peer is a group", () => {
  test("is kept as given, and refused by its field when the group is not one of the VPC", async () => {
    const at = await scene();
    const other = await world.network(at.clients, "10.9.0.0/16", "10.9.1.0/24");
    const stranger = await scene();
    const peer = await group(at);
    const id = await group(at, [from(peer)]);
    expect((await at.clients.groups.getSecurityGroup({ securityGroupId: id })).securityGroup?.rules).toEqual([from(peer)]);
    for (const wrong of [other.defaultGroup, stranger.defaultGroup, newId("sg")]) {
      const refused = { status: "INVALID_ARGUMENT", violations: [{ field: "rules[1].security_group_id" }] };
      const rules = [from(peer), from(wrong)];
      expect(await refusalOfCall(at.clients.groups.createSecurityGroup({ vpcId: at.vpcId, name: "x", rules }))).toMatchObject(refused);
      expect(await refusalOfCall(at.clients.groups.replaceSecurityGroupRules({ securityGroupId: id, rules }))).toMatchObject(refused);
    }
    expect(await refusalOfCall(at.clients.groups.replaceSecurityGroupRules({ securityGroupId: id, rules: [from("sg-1")] }))).toMatchObject({
      violations: [{ field: "rules[0].security_group_id" }],
    });
  });

  test("keeps that group from being deleted, unless it is its own", async () => {
    const at = await scene();
    const peer = await group(at);
    const id = await group(at, [from(peer)]);
    await at.clients.groups.replaceSecurityGroupRules({ securityGroupId: peer, rules: [from(peer)] });
    expect(await refusalOfCall(at.clients.groups.deleteSecurityGroup({ securityGroupId: peer }))).toMatchObject({
      status: "FAILED_PRECONDITION",
      reason: "HAS_DEPENDANTS",
      facts: { blockers: id },
    });
    await at.clients.groups.replaceSecurityGroupRules({ securityGroupId: id, rules: [] });
    await at.clients.groups.deleteSecurityGroup({ securityGroupId: peer });
    expect(await reasonOf(at.clients.groups.getSecurityGroup({ securityGroupId: peer }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });

  test("means the sets that contain the group: hosts hear of a new one with its first use", async () => {
    const at = await scene();
    const peer = await group(at);
    const server = await group(at, [from(peer)]);
    const instanceId = await run(at, await record(at, server));
    expect(peersAt(at.host, instanceId)).toEqual([[]]);
    const alone = await setOf(await record(at, peer));
    await expect.poll(() => peersAt(at.host, instanceId)).toEqual([[alone]]);
    const both = await setOf(await record(at, peer, at.defaultGroup));
    await expect.poll(() => peersAt(at.host, instanceId)).toEqual([[alone, both].toSorted((a, b) => a - b)]);
    // A set with the group that was there already changes nothing.
    const before = await world.level(`host:${at.host.hostId}`);
    await record(at, at.defaultGroup, peer);
    expect(await world.level(`host:${at.host.hostId}`)).toBe(before);
  });

  test("means the newest sets also for a record that is given the group while one of these is made", async () => {
    const at = await scene();
    const peer = await group(at);
    const server = await group(at, [from(peer)]);
    await record(at, server);
    const interfaceId = await record(at, at.defaultGroup);
    const instanceId = await run(at, interfaceId);
    // The change has read what the set means, and waits for its record; meanwhile the set comes to mean more.
    const held = await holdRecord(interfaceId);
    const change = at.clients.interfaces.updateInterface({
      interface: { interfaceId, securityGroupIds: [server] },
      updateMask: ["security_group_ids"],
    });
    await held.awaited();
    const set = await setOf(await record(at, peer));
    await held.release();
    await change;
    await expect.poll(() => peersAt(at.host, instanceId)).toEqual([[set]]);
  });

  test("may name its own group, also in a set with the one that names it", async () => {
    const at = await scene();
    const own = await group(at);
    await at.clients.groups.replaceSecurityGroupRules({ securityGroupId: own, rules: [from(own)] });
    const first = await record(at, own);
    const instanceId = await run(at, first);
    expect(peersAt(at.host, instanceId)).toEqual([[await setOf(first)]]);
    const second = await record(at, own, at.defaultGroup);
    const wanted = [await setOf(first), await setOf(second)];
    await expect.poll(() => peersAt(at.host, instanceId)).toEqual([wanted]);
    const other = await run(at, second);
    expect(peersAt(at.host, other)).toContainEqual(wanted);
  });

  test("of a batch is interned with all sets of the batch, and the answer of a repeat is the first one", async () => {
    const at = await scene();
    const ids = await Promise.all([group(at), group(at), group(at)]);
    const specs = ids.map((id) => ({ subnetId: at.subnetId, securityGroupIds: [id] }));
    const first = await at.clients.interfaces.batchCreateInterfaces({ requestId: "one", specs });
    const again = await at.clients.interfaces.batchCreateInterfaces({ requestId: "one", specs });
    expect(again.interfaces.map((one) => one.interfaceId)).toEqual(first.interfaces.map((one) => one.interfaceId));
    expect(new Set(await Promise.all(first.interfaces.map((one) => setOf(one.interfaceId)))).size).toBe(3);
  });

  test("survives a storm of rules, sets, attachments and acknowledgements without a deadlock, and is complete after it", async () => {
    const at = await scene();
    const beats = setInterval(() => at.host.beat(), 1_000);
    onTestFinished(() => clearInterval(beats));
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) ids.push(await group(at));
    const pick = (index: number): string => ids[index % ids.length] ?? "";
    const servers = await Promise.all(ids.map((id) => record(at, id)));
    const instances: string[] = [];
    for (const server of servers) instances.push(await run(at, server));
    const before = await deadlocks(world);
    const storm: Promise<unknown>[] = [];
    for (let i = 0; i < 40; i += 1) {
      const groups = [...new Set([pick(i), pick(i * 2 + 1), pick(i * 3 + 2)])].slice(0, 1 + (i % 3));
      const [groupId, interfaceId] = [pick(i), servers[i % servers.length] ?? ""];
      storm.push(
        at.clients.groups.replaceSecurityGroupRules({ securityGroupId: groupId, rules: [from(pick(i + 1), i + 1), from(groupId)] }),
      );
      // Two that name each other: whoever locked group after group would meet here.
      const [one, other] = [pick(i % 2), pick((i + 1) % 2)];
      storm.push(at.clients.groups.replaceSecurityGroupRules({ securityGroupId: one, rules: [from(other, 1_000 + i), from(one)] }));
      storm.push(record(at, ...groups));
      storm.push(
        at.clients.interfaces.updateInterface({ interface: { interfaceId, securityGroupIds: groups }, updateMask: ["security_group_ids"] }),
      );
      if (i % 4 === 0) storm.push(record(at, ...groups).then((id) => run(at, id)));
      if (i % 8 === 0)
        storm.push(at.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } }).catch(() => 0));
    }
    await Promise.all(storm);
    // What each set means is what compiling all of it from nothing gives.
    const { rows } = await sql<{ set_id: string; members: string[] }>`
      SELECT group_set_id::text AS set_id, members FROM group_set WHERE vpc_id = ${at.vpcId}`.execute(world.db.kysely);
    const last = new Map<string, string>();
    for (const id of ids) {
      const { securityGroup } = await at.clients.groups.getSecurityGroup({ securityGroupId: id });
      last.set(id, securityGroup?.rules.find((rule) => rule.portFrom !== 80)?.peer?.value ?? "");
    }
    for (const [id, peer] of last) {
      const carrier = await record(at, id);
      const wanted = rows.filter((row) => row.members.includes(peer)).map((row) => Number(row.set_id));
      const own = rows.filter((row) => row.members.includes(id)).map((row) => Number(row.set_id));
      const instanceId = await run(at, carrier);
      const ascending = (a: number, b: number) => a - b;
      const [one, other] = [wanted.toSorted(ascending), own.toSorted(ascending)];
      expect(peersAt(at.host, instanceId)?.toSorted()).toEqual([one, other].toSorted());
    }
    expect((await deadlocks(world)) - before).toBe(0n);
  });
});
