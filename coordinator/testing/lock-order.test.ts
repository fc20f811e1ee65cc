import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { QuotaServiceDefinition } from "#gen/plenum/identity/v1/quota.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { deadlocks } from "./deadlocks.ts";
import { holdOpen, lockWaits } from "./locks.ts";
import type { FakeHost } from "./fake-host.ts";
import { startWorld, ZONE } from "./world.ts";
import type { Clients, World } from "./world.ts";

// Calls that meet half way: each has locked something when it comes to what the other has.

let world: World;
let host: FakeHost;
beforeAll(async () => {
  world = await startWorld();
  host = await world.host();
  await sql`CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(TG_ARGV[0]::float); RETURN NEW; END'`.execute(
    world.db.kysely,
  );
});
afterAll(() => world?.stop());

/** Whoever writes a row of the table holds it for a while before it goes on. */
const linger = (table: string, seconds = 0.3) =>
  sql`CREATE TRIGGER pause BEFORE INSERT OR UPDATE ON ${sql.table(table)} FOR EACH ROW EXECUTE FUNCTION pause(${sql.lit(seconds)})`;
afterEach(async () => {
  for (const table of ["interface", "account_use_part", "instance", "consent"])
    await sql`DROP TRIGGER IF EXISTS pause ON ${sql.table(table)}`.execute(world.db.kysely);
});

/** Until so many hold a row that they linger at. */
const waiting = (count: number) =>
  expect
    .poll(async () => (await sql`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`.execute(world.db.kysely)).rows.length)
    .toBeGreaterThanOrEqual(count);

async function scene(): Promise<{ clients: Clients; accountId: string; subnetId: string; record: () => Promise<string> }> {
  const { clients, accountId } = await world.account();
  const { subnetId } = await world.network(clients);
  const record = async () => (await clients.interfaces.createInterface({ spec: { subnetId } })).interface?.interfaceId ?? "";
  return { clients, accountId, subnetId, record };
}

test("an instance that ends with its records, and a change of one of these, do not wait for each other", async () => {
  const { clients, subnetId } = await scene();
  const before = await deadlocks(world);
  for (const stopped of [true, false]) {
    const { instance, operation } = await clients.instances.runInstance({
      zoneId: ZONE,
      stopped,
      interfaces: [{ source: { $case: "create", value: { subnetId } } }],
    });
    await world.finished(clients, operation?.operationId);
    const { instanceId = "" } = instance ?? {};
    const [record] = (await clients.interfaces.listInterfaces({ filter: { instanceId } })).interfaces;
    await linger("interface").execute(world.db.kysely);
    const change = clients.interfaces.updateInterface({
      interface: { interfaceId: record?.interfaceId, sourceDestCheck: false },
      updateMask: ["source_dest_check"],
      wait: WaitFor.COMMITTED,
    });
    await waiting(1);
    const { operation: end } = await clients.instances.terminateInstance({ instanceId });
    await change;
    expect(await world.finished(clients, end?.operationId)).toBe("SUCCEEDED");
    expect((await clients.interfaces.listInterfaces({})).interfaces).toEqual([]);
    await sql`DROP TRIGGER pause ON interface`.execute(world.db.kysely);
  }
  expect((await deadlocks(world)) - before).toBe(0n);
});

test("an instance that is run with a new record and an old one, and the old one's end, do not wait for each other", async () => {
  const { clients, subnetId, record } = await scene();
  const interfaceId = await record();
  const before = await deadlocks(world);
  await linger("account_use_part").execute(world.db.kysely);
  const run = clients.instances.runInstance({
    zoneId: ZONE,
    interfaces: [{ source: { $case: "create", value: { subnetId } } }, { source: { $case: "interfaceId", value: interfaceId } }],
  });
  await waiting(1);
  const ended = await clients.interfaces.deleteInterface({ interfaceId }).then(
    () => "gone",
    () => "refused",
  );
  const ran = await run.then(
    () => "ran",
    () => "refused",
  );
  expect([ran, ended]).toEqual(["ran", "refused"]);
  expect((await deadlocks(world)) - before).toBe(0n);
});

test("a change of a record with its lists, and the end of its attachment by one of these, do not wait for each other", async () => {
  const { clients, subnetId } = await scene();
  const [detacher, attacher] = [await world.account(), await world.account()];
  const detachers = [{ accountId: detacher.accountId }];
  const access = { detachers, attachers: [{ accountId: attacher.accountId }] };
  const { interface: made } = await clients.interfaces.createInterface({ spec: { subnetId, access } });
  const { interfaceId = "" } = made ?? {};
  await clients.instances.runInstance({ zoneId: ZONE, interfaces: [{ source: { $case: "interfaceId", value: interfaceId } }] });
  const before = await deadlocks(world);
  await linger("consent").execute(world.db.kysely);
  const change = clients.interfaces.updateInterface({
    interface: { interfaceId, access: { detachers }, sourceDestCheck: false },
    updateMask: ["access", "source_dest_check"],
  });
  await waiting(1);
  await detacher.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
  expect((await change).interface?.access?.attachers).toEqual([]);
  expect((await deadlocks(world)) - before).toBe(0n);
});

test("an instance that is run with an address, and the end of the record that had it, do not wait for each other", async () => {
  const { clients, accountId, subnetId } = await scene();
  // Near its bound an account's records are counted one by one.
  await (await world.client(QuotaServiceDefinition)).setQuota({ accountId, name: "interfaces", maximum: 10n });
  const run = () =>
    clients.instances.runInstance({
      zoneId: ZONE,
      interfaces: [{ source: { $case: "create", value: { subnetId, privateAddresses: ["10.0.1.77"] } } }],
    });
  const { instance, operation } = await run();
  await world.finished(clients, operation?.operationId);
  host.behaviour.acknowledge = false;
  const { instanceId = "" } = instance ?? {};
  const { operation: end } = await clients.instances.terminateInstance({ instanceId });
  await expect.poll(() => host.instances.get(instanceId)?.wanted).toBe(Wanted.ABSENT);
  const before = await deadlocks(world);
  await linger("instance", 0.6).execute(world.db.kysely);
  const next = run();
  await waiting(1);
  host.behaviour.acknowledge = true;
  host.acknowledge();
  await Promise.allSettled([next]);
  expect((await deadlocks(world)) - before).toBe(0n);
  expect(await world.finished(clients, end?.operationId)).toBe("SUCCEEDED");
  expect(await world.finished(clients, (await next).operation?.operationId)).toBe("SUCCEEDED");
});

test("an attachment that waits for the start of its instance is on the host where that starts", async () => {
  const { clients, record } = await scene();
  const [first, second] = [await record(), await record()];
  const { instance } = await clients.instances.runInstance({
    zoneId: ZONE,
    stopped: true,
    interfaces: [{ source: { $case: "interfaceId", value: first } }],
  });
  const { instanceId = "" } = instance ?? {};
  await linger("instance").execute(world.db.kysely);
  const start = clients.instances.startInstance({ instanceId });
  await waiting(1);
  const { attachment } = await clients.interfaces.attachInterface({
    spec: { interfaceId: second, instanceId },
    wait: WaitFor.COMMITTED,
  });
  const started = await start;
  expect(started.instance?.hostId).not.toBe("");
  expect(attachment?.hostId).toBe(started.instance?.hostId);
});

test.each([
  ["two owners", true],
  ["two operators", false],
])("%s that revoke tokens of each other's account at once do not wait for each other", async (_title, owners) => {
  const { accountId } = await scene();
  const before = await deadlocks(world);
  const of = owners ? accountId : "";
  const names = ["ann", "bob"].map((name) => `${name} of ${accountId}`);
  const role = owners ? Role.OWNER : Role.OPERATOR;
  const root = await world.client(PrincipalServiceDefinition);
  for (const principalId of [...names, "robot"]) await root.createPrincipal({ accountId: of, principalId, role });
  const clients = await Promise.all(
    names.map((principalId) =>
      world.client(PrincipalServiceDefinition, owners ? { role: "owner", accountId, principalId } : { role: "operator", principalId }),
    ),
  );
  // Both come as far as their own rows.
  const { release } = await holdOpen(world.db.kysely, (tx) =>
    sql`SELECT FROM principal WHERE account_id = ${of} AND principal_id = ANY(${names}::text[]) FOR UPDATE`.execute(tx),
  );
  const both = clients.map((one) => one.revokeTokens({ accountId: of, principalId: "robot" }));
  await expect.poll(() => lockWaits(world.db.kysely)).toBe(2);
  await release();
  for (const { principal } of await Promise.all(both)) expect(principal?.tokensNotBefore).toBeInstanceOf(Date);
  expect((await deadlocks(world)) - before).toBe(0n);
});
