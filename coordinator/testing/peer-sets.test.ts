import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import { deadlocks } from "./deadlocks.ts";
import { hostTwice } from "./estate-invariants.ts";
import type { FakeHost } from "./fake-host.ts";
import { forgetSets } from "./forget-sets.ts";
import { refusalOfCall } from "./refusal.ts";
import { holdOpen, lockAwaited } from "./locks.ts";
import { startWorld } from "./world.ts";
import type { Clients, TestNetwork, World } from "./world.ts";

// Sets of groups that come and go (ADR 0011): what is written for them, what hosts hear, when they are forgotten.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

interface Scene extends TestNetwork {
  readonly clients: Clients;
  readonly accountId: string;
  readonly zoneId: string;
  readonly host: FakeHost;
  /** Its rules name itself. */
  readonly club: string;
  /** Other groups, without rules. */
  readonly marks: readonly string[];
}

let zones = 0;
async function scene(marks = 5): Promise<Scene> {
  zones += 1;
  const zoneId = `sets-${zones}`;
  const host = await world.host(zoneId);
  const { clients, accountId } = await world.account();
  const network = await world.network(clients);
  const group = async (name: string) =>
    (await clients.groups.createSecurityGroup({ vpcId: network.vpcId, name })).securityGroup?.securityGroupId ?? "";
  const club = await group("club");
  await clients.groups.replaceSecurityGroupRules({ securityGroupId: club, rules: [from(club)] });
  const own: string[] = [];
  for (let i = 0; i < marks; i += 1) own.push(await group(`mark-${i}`));
  return { ...network, clients, accountId, zoneId, host, club, marks: own };
}

const from = (peer: string, port = 80) => ({
  ...{ direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: port, portTo: port },
  peer: { $case: "securityGroupId" as const, value: peer },
});
const record = async ({ clients, subnetId }: Scene, ...securityGroupIds: string[]): Promise<string> =>
  (await clients.interfaces.createInterface({ spec: { subnetId, securityGroupIds } })).interface?.interfaceId ?? "";

async function run(at: Scene, ...groups: string[]): Promise<string> {
  const source = { $case: "interfaceId" as const, value: await record(at, ...groups) };
  const { instance, operation } = await at.clients.instances.runInstance({ zoneId: at.zoneId, interfaces: [{ source }] });
  expect(await world.finished(at.clients, operation?.operationId)).toBe("SUCCEEDED");
  return instance?.instanceId ?? "";
}

const setOf = async (interfaceId: string): Promise<number> =>
  (await sql<{ id: number }>`SELECT group_set_id::int AS id FROM interface WHERE interface_id = ${interfaceId}`.execute(world.db.kysely))
    .rows[0]?.id ?? 0;
const setsIn = async ({ vpcId }: Scene): Promise<number[]> =>
  (
    await sql<{ id: number }>`SELECT group_set_id::int AS id FROM group_set WHERE vpc_id = ${vpcId} ORDER BY 1`.execute(world.db.kysely)
  ).rows.map((row) => row.id);
const count = async (table: string): Promise<number> =>
  Number((await sql<{ count: bigint }>`SELECT count(*) AS count FROM ${sql.table(table)}`.execute(world.db.kysely)).rows[0]?.count ?? 0n);
/** Peers of all the rules with one that the host has. */
const peersAt = (host: FakeHost): number[][] =>
  [...host.rulesets.values()].flatMap((item) => item.rules.flatMap((rule) => (rule.peerIsGroup ? [rule.peerGroupSetIds] : [])));
const generations = (host: FakeHost): string[] =>
  [...host.attachments.values()].map((one) => `${one.attachmentId} ${one.generation} ${one.rulesetId}`);

async function told({ host }: Scene): Promise<void> {
  const { told: before, anew } = await hostTwice(host);
  expect(before).toEqual(anew);
}

test("a new one is one ruleset and one item for each host whose rules name its groups, however many sets there are; attachments stay what they are", async () => {
  const at = await scene();
  const [one = "", two = "", three = "", four = ""] = at.marks;
  await run(at, at.club);
  await run(at, at.club, one);
  const other = await world.host(`${at.zoneId}-without`);
  const elsewhere = { ...at, zoneId: `${at.zoneId}-without` };
  await run(elsewhere, two); // whose rules name no group
  for (const mark of [two, three]) await record(at, at.club, mark);
  const sets = async () => (await setsIn(at)).length;
  await expect.poll(() => peersAt(at.host).map((peers) => peers.length)).toEqual([4, 4]);
  const [before, rulesets, level, otherLevel] = [
    generations(at.host),
    await count("ruleset"),
    await world.level(`host:${at.host.hostId}`),
    await world.level(`host:${other.hostId}`),
  ];
  expect(await sets()).toBe(5);
  const set = await setOf(await record(at, at.club, four));
  expect(await count("ruleset")).toBe(rulesets + 1);
  expect(await world.level(`host:${at.host.hostId}`)).toBe(level + 1n);
  expect(await world.level(`host:${other.hostId}`)).toBe(otherLevel);
  await expect.poll(() => peersAt(at.host).every((peers) => peers.length === 5 && peers.includes(set))).toBe(true);
  const last = at.host.received.at(-1)?.message;
  expect(last?.$case === "change" && last.value.items.map(({ item }) => item)).toEqual([
    { $case: "peerGroup", value: { securityGroupId: at.club, addedGroupSetIds: [set], removedGroupSetIds: [] } },
  ]);
  expect(generations(at.host)).toEqual(before);
  await told(at);
});

test("one that nothing has is forgotten after a while, hosts let go of it, and its groups are another number when they come again", async () => {
  const at = await scene();
  const [one = "", two = ""] = at.marks;
  await run(at, at.club);
  const kept = await record(at, at.club, one);
  const gone = await record(at, at.club, two);
  const [keptSet, goneSet] = [await setOf(kept), await setOf(gone)];
  await expect.poll(() => peersAt(at.host)[0]).toContain(goneSet);
  await at.clients.interfaces.deleteInterface({ interfaceId: gone });
  await forgetSets(world, false);
  expect(await setsIn(at)).toContain(goneSet); // not yet
  await forgetSets(world, true);
  expect(await setsIn(at)).not.toContain(goneSet);
  expect(await setsIn(at)).toContain(keptSet);
  await expect.poll(() => peersAt(at.host)[0]).not.toContain(goneSet);
  expect(peersAt(at.host)[0]).toContain(keptSet);
  await told(at);
  const again = await setOf(await record(at, two, at.club));
  expect(again).toBeGreaterThan(goneSet);
  await expect.poll(() => peersAt(at.host)[0]).toContain(again);
  await told(at);
});

test("one that came into use again meanwhile stays, and its time begins anew when it goes out of use", async () => {
  const at = await scene();
  const [one = ""] = at.marks;
  const first = await record(at, at.club, one);
  const set = await setOf(first);
  await at.clients.interfaces.deleteInterface({ interfaceId: first });
  await forgetSets(world, false);
  const second = await record(at, at.club, one);
  expect(await setOf(second)).toBe(set);
  await forgetSets(world, true);
  expect(await setsIn(at)).toContain(set);
  await at.clients.interfaces.deleteInterface({ interfaceId: second });
  await forgetSets(world, false);
  expect(await setsIn(at)).toContain(set);
});

test("one with a group that is gone goes at once: nobody can ask for it", async () => {
  const at = await scene();
  const [one = ""] = at.marks;
  await run(at, at.club);
  const interfaceId = await record(at, at.club, one);
  const set = await setOf(interfaceId);
  await at.clients.interfaces.deleteInterface({ interfaceId });
  await at.clients.groups.deleteSecurityGroup({ securityGroupId: one });
  await forgetSets(world, false);
  expect(await setsIn(at)).not.toContain(set);
  await expect.poll(() => peersAt(at.host)[0]).not.toContain(set);
});

test("one that an attachment has which its host has not let go of stays, and so does one that a call has just been given", async () => {
  const at = await scene();
  const [one = "", two = ""] = at.marks;
  const instanceId = await run(at, at.club, one);
  const { interfaces } = await at.clients.interfaces.listInterfaces({ filter: { instanceId } });
  const interfaceId = interfaces[0]?.interfaceId ?? "";
  const set = await setOf(interfaceId);
  at.host.behaviour.acknowledge = false;
  await at.clients.instances.stopInstance({ instanceId });
  await forgetSets(world, true);
  expect(await setsIn(at)).toContain(set);
  at.host.acknowledge();

  // Between the look for its set and the writing of its record: another call holds the record's number of addresses until then.
  const idle = await record(at, at.club, two);
  const idleSet = await setOf(idle);
  await at.clients.interfaces.deleteInterface({ interfaceId: idle });
  await forgetSets(world, false);
  const table = await holdOpen(world.db.kysely, (tx) => sql`LOCK TABLE interface IN SHARE ROW EXCLUSIVE MODE`.execute(tx));
  const making = record(at, at.club, two);
  await lockAwaited(world.db.kysely);
  await forgetSets(world, true);
  await table.release();
  expect(await setOf(await making)).toBe(idleSet);
  await forgetSets(world, true);
  expect(await setsIn(at)).toContain(idleSet);
});

test("a VPC has so many at most; who asks for another is told how many, and what to do", async () => {
  const at = await scene(4);
  const [one = "", two = "", three = ""] = at.marks;
  await world.operator.accounts.getAccount({ accountId: at.accountId });
  await sql`INSERT INTO account_quota (account_id, quota, maximum) VALUES (${at.accountId}, 'group-sets-per-vpc', 3)`.execute(
    world.db.kysely,
  );
  const made = await Promise.allSettled(
    [one, two, three, at.club, at.defaultGroup].map((mark) => record(at, ...new Set([at.defaultGroup, mark]))),
  );
  expect(made.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(3);
  expect(await setsIn(at)).toHaveLength(3);
  const refused = await refusalOfCall(
    at.clients.interfaces.createInterface({ spec: { subnetId: at.subnetId, securityGroupIds: [one, two, three] } }),
  );
  expect(refused).toMatchObject({
    status: "RESOURCE_EXHAUSTED",
    reason: "LIMIT_EXCEEDED",
    facts: { quota: "group-sets-per-vpc", limit: "3", count: "3" },
  });
  expect(refused.message).toContain("give interfaces a combination that others have");
  const listed = (await at.clients.interfaces.listInterfaces({})).interfaces;
  await at.clients.interfaces.createInterface({ spec: { subnetId: at.subnetId, securityGroupIds: listed[0]?.securityGroupIds ?? [] } });
  for (const { interfaceId } of (await at.clients.interfaces.listInterfaces({})).interfaces)
    await at.clients.interfaces.deleteInterface({ interfaceId });
  await forgetSets(world, true);
  await record(at, one, two, three);
});

test("rules of before groups were named in them are made anew with the next set, and follow from then on", async () => {
  const at = await scene();
  const [one = "", two = ""] = at.marks;
  await run(at, at.club);
  const known = await setsIn(at);
  // As they were: the sets of then, and no name.
  const rulesetId = [...at.host.attachments.values()][0]?.rulesetId ?? 0;
  const { RulesetItem } = await import("#gen/plenum/host/v1/host_feed.ts");
  const held = at.host.rulesets.get(rulesetId);
  const rules = (held?.rules ?? []).map((rule) => ({ ...rule, peerGroupId: "" }));
  const bytes = Buffer.from(RulesetItem.encode({ rulesetId: 0, wanted: 0, rules }).finish());
  await sql`UPDATE ruleset SET rules = ${bytes}, peer_groups = NULL WHERE ruleset_id = ${rulesetId}`.execute(world.db.kysely);
  await world.restart();
  await at.host.connect();
  expect(peersAt(at.host)).toEqual([known]);
  const first = await setOf(await record(at, at.club, one));
  await expect.poll(() => peersAt(at.host)).toEqual([[...known, first]]);
  expect([...at.host.attachments.values()][0]?.rulesetId).toBeGreaterThan(rulesetId);
  const rulesets = await count("ruleset");
  const second = await setOf(await record(at, at.club, two));
  await expect.poll(() => peersAt(at.host)).toEqual([[...known, first, second]]);
  expect(await count("ruleset")).toBe(rulesets + 1);
  await told(at);
});

test("survives a storm of records, addresses, rules and forgetting: hosts have what they would be told from nothing", async () => {
  const at = await scene();
  await run(at, at.club);
  await run(at, at.club, at.marks[0] ?? "");
  const before = await deadlocks(world);
  let over = false;
  const forgetting = (async () => {
    while (!over) await forgetSets(world, true);
  })();
  const { interfaces } = await at.clients.interfaces.listInterfaces({});
  const attached = interfaces.filter((one) => one.attachments.length > 0).map((one) => one.interfaceId);
  const storm: Promise<unknown>[] = [];
  for (let i = 0; i < 60; i += 1) {
    const groups = [at.club, ...[0, 1, 2].filter((bit) => (i >> bit) % 2 === 1).map((bit) => at.marks[bit] ?? "")];
    storm.push(record(at, ...groups).then((interfaceId) => at.clients.interfaces.deleteInterface({ interfaceId })));
    const interfaceId = attached[i % 2] ?? "";
    if (i % 3 === 0) storm.push(at.clients.interfaces.setAddresses({ interfaceId, privateAddresses: [`10.0.1.${60 + i}`] }));
    if (i % 4 === 0)
      storm.push(
        at.clients.interfaces.updateInterface({
          interface: { interfaceId, sourceDestCheck: i % 8 === 0 },
          updateMask: ["source_dest_check"],
        }),
      );
    if (i % 10 === 0)
      storm.push(
        at.clients.groups.replaceSecurityGroupRules({
          securityGroupId: at.club,
          rules: [from(at.club, 100 + i), from(at.marks[1] ?? "", 7)],
        }),
      );
    if (i % 6 === 0)
      storm.push(
        at.clients.interfaces.updateInterface({ interface: { interfaceId, securityGroupIds: groups }, updateMask: ["security_group_ids"] }),
      );
  }
  await Promise.all(storm);
  over = true;
  await forgetting;
  await forgetSets(world, true);
  const level = await world.level(`host:${at.host.hostId}`);
  await expect.poll(() => at.host.version).toBe(level);
  await told(at);
  expect(new Set(peersAt(at.host).flat())).toEqual(new Set(await setsIn(at)));
  expect((await deadlocks(world)) - before).toBe(0n);
}, 60_000);
