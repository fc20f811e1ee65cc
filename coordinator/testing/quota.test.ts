import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { QuotaServiceDefinition } from "#gen/plenum/identity/v1/quota.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { transaction } from "#lib/db/transaction.ts";
import { countPart } from "../identity/api.ts";
import { deadlocks } from "./deadlocks.ts";
import { reasonOf } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// B9, B13: how much an account may have.

const OVER = "RESOURCE_EXHAUSTED LIMIT_EXCEEDED";
let world: World;
let quotas: PlenumClient<typeof QuotaServiceDefinition>;
let accountId: string;
let clients: Clients;
beforeAll(async () => {
  world = await startWorld();
  quotas = await world.client(QuotaServiceDefinition);
});
afterAll(() => world?.stop());
beforeEach(async () => {
  ({ accountId, clients } = await world.account());
});

const set = (name: string, maximum: bigint | undefined) => quotas.setQuota({ accountId, name, maximum });
const quota = async (name: string) => (await quotas.getQuotas({ accountId })).quotas.find((one) => one.name === name);
const vpc = async () =>
  (await clients.vpcs.createVpc({ cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } })).vpc?.vpcId ?? "";
const kept = (outcomes: readonly PromiseSettledResult<unknown>[]) => outcomes.filter((one) => one.status === "fulfilled").length;
const lastVni = async () => (await sql<{ last: bigint }>`SELECT last_value AS last FROM vni`.execute(world.db.kysely)).rows[0]?.last;

describe("VPCs", () => {
  it("are bounded by how many are there, exactly, however many ask at once; a deleted one makes room", async () => {
    await set("vpcs", 3n);
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => vpc()));
    expect(kept(outcomes)).toBe(3);
    const refused = await vpc().catch((error: unknown) => callFailure(error));
    expect(refused).toMatchObject({
      status: "RESOURCE_EXHAUSTED",
      reason: "LIMIT_EXCEEDED",
      facts: { quota: "vpcs", limit: "3", count: "3", account_id: accountId },
    });
    expect((refused as { message: string }).message).toMatch(/delete some, or ask an operator/);
    expect(await quota("vpcs")).toMatchObject({ maximum: 3n, own: true, used: 3n });
    const one = (await clients.vpcs.listVpcs({})).vpcs[0]?.vpcId ?? "";
    await emptied(one);
    await clients.vpcs.deleteVpc({ vpcId: one });
    expect(await quota("vpcs")).toMatchObject({ used: 2n });
    await vpc();
    expect(await reasonOf(vpc())).toBe(OVER);
    await set("vpcs", undefined);
    expect(await quota("vpcs")).toMatchObject({ maximum: 100n, own: false, used: 3n });
    await vpc();
  });

  it("that come and go in a loop end with the day's quota, and what is refused uses no number up", async () => {
    await set("vpcs-per-day", 2n);
    for (let made = 0; made < 2; made += 1) {
      const vpcId = await vpc();
      await emptied(vpcId);
      await clients.vpcs.deleteVpc({ vpcId });
    }
    expect(await quota("vpcs")).toMatchObject({ used: 0n });
    const before = await lastVni();
    for (let refused = 0; refused < 3; refused += 1) expect(await reasonOf(vpc())).toBe(OVER);
    expect(await lastVni()).toBe(before);
    expect(await quota("vpcs-per-day")).toMatchObject({ used: 2n });
    await sql`UPDATE account_use SET day = day - 1 WHERE account_id = ${accountId}`.execute(world.db.kysely);
    expect(await quota("vpcs-per-day")).toMatchObject({ used: 0n });
    await vpc();
    expect(await quota("vpcs-per-day")).toMatchObject({ used: 1n });
  });

  it("of another account are not counted", async () => {
    await set("vpcs", 0n);
    expect(await reasonOf(vpc())).toBe(OVER);
    await world.network((await world.account()).clients);
  });
});

/** A VPC's subnets, deleted. */
async function emptied(vpcId: string): Promise<void> {
  const subnets = await world.client(SubnetServiceDefinition);
  for (const { subnetId } of (await subnets.listSubnets({ vpcId })).subnets) await subnets.deleteSubnet({ subnetId });
}

it("a VPC's subnets and groups are bounded, its first ones included", async () => {
  const subnets = await world.client(SubnetServiceDefinition);
  await set("subnets-per-vpc", 2n);
  await set("security-groups-per-vpc", 2n);
  const vpcId = await vpc();
  const subnet = (index: number) => subnets.createSubnet({ vpcId, cidrBlock: `10.0.${index}.0/24` });
  expect(kept(await Promise.allSettled([1, 2, 3].map(subnet)))).toBe(1);
  expect(await reasonOf(subnet(9))).toBe(OVER);
  const group = (name: string) => clients.groups.createSecurityGroup({ vpcId, name });
  expect(kept(await Promise.allSettled(["a", "b", "c"].map(group)))).toBe(1);
  expect(await reasonOf(group("d"))).toBe(OVER);
  expect(await quota("subnets-per-vpc")).toMatchObject({ maximum: 2n, used: undefined });
});

it("records are bounded: a batch is all or none, what is deleted makes room", async () => {
  const { subnetId } = await world.network(clients);
  await set("interfaces", 3n);
  const batch = (count: number) => clients.interfaces.batchCreateInterfaces({ specs: Array.from({ length: count }, () => ({ subnetId })) });
  expect(await reasonOf(batch(4))).toBe(OVER);
  expect(await quota("interfaces")).toMatchObject({ used: undefined });
  const made = (await batch(3)).interfaces.map((one) => one.interfaceId);
  const one = () => clients.interfaces.createInterface({ spec: { subnetId } });
  expect(await reasonOf(one())).toBe(OVER);
  expect(
    await reasonOf(clients.instances.runInstance({ stopped: true, interfaces: [{ source: { $case: "create", value: { subnetId } } }] })),
  ).toBe(OVER);
  await clients.interfaces.deleteInterface({ interfaceId: made[0] ?? "" });
  await one();
  expect(await quota("interfaces")).toMatchObject({ maximum: 3n, used: 3n });
});

it("records are bounded exactly however many are made at once in other subnets, and deleted ones make room in whatever part", async () => {
  const subnets = await Promise.all([0, 1, 2, 3].map(() => world.network(clients)));
  await set("interfaces", 5n);
  const one = (index: number) => clients.interfaces.createInterface({ spec: { subnetId: subnets[index % 4]?.subnetId ?? "" } });
  const outcomes = await Promise.allSettled(Array.from({ length: 16 }, (_, index) => one(index)));
  expect(kept(outcomes)).toBe(5);
  const made = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value.interface?.interfaceId ?? ""] : []));
  expect(await quota("interfaces")).toMatchObject({ used: 5n });
  for (const interfaceId of made) await clients.interfaces.deleteInterface({ interfaceId });
  expect(await quota("interfaces")).toMatchObject({ used: 0n });
  expect(kept(await Promise.allSettled(Array.from({ length: 8 }, (_, index) => one(index))))).toBe(5);
});

it("a count that is raised in parts is exact where it comes to its bound, and waits for nobody before", async () => {
  await set("interfaces", 30_000n);
  const count = (amount: number, part: number, held?: Promise<void>) =>
    transaction(world.db.kysely, async (tx) => {
      await countPart(tx, accountId, "interfaces", amount, `eni-${part.toString(16)}`);
      await held;
    });
  const held = Promise.withResolvers<void>();
  const first = count(1_000, 0, held.promise);
  await count(1_000, 1); // the other has not ended
  held.resolve();
  await first;
  const outcomes = await Promise.allSettled(Array.from({ length: 40 }, (_, index) => count(1_000, index % 16)));
  expect(kept(outcomes)).toBe(28);
  const reasons = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [(outcome.reason as { reason?: string }).reason] : []));
  expect(new Set(reasons)).toEqual(new Set(["LIMIT_EXCEEDED"]));
  expect(await quota("interfaces")).toMatchObject({ used: 30_000n });
});

it("two that find little room once they count do not wait for each other's parts", async () => {
  const { kysely } = world.db;
  await set("interfaces", 30_000n);
  await sql`
    CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END';
    CREATE TRIGGER pause BEFORE INSERT OR UPDATE ON account_use_part FOR EACH ROW WHEN (NEW.used <> 0) EXECUTE FUNCTION pause()`.execute(
    kysely,
  );
  const before = await deadlocks(world);
  const count = (part: string) => transaction(kysely, (tx) => countPart(tx, accountId, "interfaces", 1, `eni-${part}`));
  const both = Promise.allSettled([count("3"), count("7")]);
  const pausing = async () => (await sql`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`.execute(kysely)).rows.length;
  await expect.poll(pausing).toBe(2);
  await sql`UPDATE account_quota SET maximum = 2 WHERE account_id = ${accountId}`.execute(kysely);
  expect(kept(await both)).toBe(2);
  await sql`DROP TRIGGER pause ON account_use_part`.execute(kysely);
  expect((await deadlocks(world)) - before).toBe(0n);
  expect(await quota("interfaces")).toMatchObject({ used: 2n });
});

it("only what there is can be set, by an operator", async () => {
  expect(await reasonOf(set("vpc", 1n))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  expect(await reasonOf(set("vpcs", -1n))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  expect(await reasonOf(quotas.setQuota({ accountId: `acct-${"0".repeat(32)}`, name: "vpcs", maximum: 1n }))).toBe(
    "NOT_FOUND RESOURCE_NOT_FOUND",
  );
});
