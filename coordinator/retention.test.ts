import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import { OperationState } from "#gen/plenum/operation/v1/operation.ts";
import { forgettingOld } from "./retention.ts";
import { forgetSets } from "./testing/forget-sets.ts";
import { startWorld } from "./testing/world.ts";
import type { World } from "./testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const forgetOld = async (): Promise<void> => {
  await forgetSets(world, false);
  for (const forget of Object.values(forgettingOld(world.db.kysely))) await forget();
};

const TABLES = [
  "audit_entry",
  "consent",
  "consent_limit",
  "operation",
  "meter",
  "meter_reading",
  "attachment_drop",
  "subnet_pick",
  "group_set",
  "ruleset",
  "host_network_version",
];

/** Rows of each table. */
async function counts(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const table of TABLES) {
    const { rows } = await sql<{ count: bigint }>`SELECT count(*) AS count FROM ${sql.table(table)}`.execute(world.db.kysely);
    found[table] = Number(rows[0]?.count ?? 0n);
  }
  return found;
}

const age = (table: string, column: string, days: number) =>
  sql`UPDATE ${sql.table(table)} SET ${sql.ref(column)} = ${sql.ref(column)} - make_interval(days => ${days})`.execute(world.db.kysely);

/** A network in use: an instance on a host that counts, and a record that another account may attach. */
async function used(zoneId: string) {
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  const other = await world.account();
  const network = await world.network(clients);
  host.behaviour.networkVersions.set(network.networkId, 1n);
  const run = clients.instances.runInstance({
    zoneId,
    interfaces: [
      {
        source: {
          $case: "create",
          value: { subnetId: network.subnetId, access: { attachers: [{ accountId: other.accountId, maxAttachments: 3 }] } },
        },
      },
    ],
  });
  const { instance, operation } = await run;
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  const [item] = host.attachments.values();
  host.count({
    meters: [{ meterId: item?.meterId ?? 0n, egressPackets: 1n, egressBytes: 9n, ingressPackets: 0n, ingressBytes: 0n }],
    drops: [{ wireId: item?.wireId ?? 0, reason: "NO_RULE", packets: 3n }],
  });
  const traffic = async () => (await clients.interfaces.listInterfaces({})).interfaces[0]?.traffic;
  await expect.poll(async () => (await traffic())?.droppedPackets).toBe(3n);
  return { ...network, host, clients, traffic, instanceId: instance?.instanceId ?? "", operationId: operation?.operationId ?? "" };
}

test("what is used stays, however old; what nothing names any more goes", async () => {
  const { clients, vpcId, subnetId, instanceId, operationId, traffic } = await used("kept");
  for (const [table, column] of [
    ["ruleset", "create_time"],
    ["operation", "end_time"],
  ] as const)
    await age(table, column, 1_000);
  const before = await counts();
  expect(before).toMatchObject({
    consent: 1,
    consent_limit: 1,
    operation: 1,
    meter: 1,
    meter_reading: 1,
    attachment_drop: 1,
    subnet_pick: 1,
    group_set: 1,
    ruleset: 1,
  });
  expect(before["host_network_version"]).toBe(1);
  await forgetOld();
  expect(await counts()).toEqual(before);
  expect(await traffic()).toMatchObject({ egressBytes: 9n, droppedPackets: 3n });
  expect((await clients.operations.getOperation({ operationId })).operation?.state).toBe(OperationState.SUCCEEDED);

  const { operation } = await clients.instances.terminateInstance({ instanceId });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  await (await world.client(SubnetServiceDefinition)).deleteSubnet({ subnetId });
  await clients.vpcs.deleteVpc({ vpcId });
  // Younger than all limits: only what nothing can name goes.
  await forgetOld();
  const gone = { subnet_pick: 0, group_set: 0, ruleset: 0, host_network_version: 0 };
  expect(await counts()).toMatchObject({
    consent: 1,
    consent_limit: 1,
    operation: 1,
    meter: 1,
    meter_reading: 1,
    attachment_drop: 1,
    ...gone,
  });
  // The attachment is forgotten an hour after its end; then its counts go, too.
  await sql`DELETE FROM attachment`.execute(world.db.kysely);
  await age("audit_entry", "time", 401);
  await age("consent", "revoke_time", 401);
  await sql`DELETE FROM instance`.execute(world.db.kysely);
  await age("operation", "end_time", 31);
  await forgetOld();
  expect(await counts()).toEqual(Object.fromEntries(TABLES.map((table) => [table, 0])));
});
