import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import type { Tx } from "../call/api.ts";
import { rulesetsAsItems } from "../interface/out/changes.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// Rules that were read are kept in memory: hosts must be told what the database has all the same.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

test("however many rules were read before, all that are asked for are answered", async () => {
  await sql`INSERT INTO ruleset (ruleset_id, rules) SELECT n, '' FROM generate_series(100001, 106000) AS n`.execute(world.db.kysely);
  const read = async (ids: readonly number[]) =>
    (await rulesetsAsItems(world.db.kysely as unknown as Tx, ids)).map(({ item }) =>
      item?.$case === "ruleset" ? item.value.rulesetId : 0,
    );
  for (let first = 100_001; first < 106_000; first += 500) {
    const ids = [100_001, ...Array.from({ length: 500 }, (_, index) => first + index)];
    expect(await read(ids)).toEqual([...new Set(ids)]);
  }
});

test("of a database that was set back and gave the number of rules out again, hosts are told the rules that it has now", async () => {
  const host = await world.host("set-back");
  const { clients } = await world.account();
  const { subnetId, defaultGroup: securityGroupId } = await world.network(clients);
  const replace = (port: number) => {
    const peer = { $case: "cidr" as const, value: "0.0.0.0/0" };
    const rules = [{ direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: port, portTo: port, peer }];
    return clients.groups.replaceSecurityGroupRules({ securityGroupId, rules });
  };
  const { operation } = await clients.instances.runInstance({
    zoneId: "set-back",
    interfaces: [{ source: { $case: "create", value: { subnetId } } }],
  });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  const told = () =>
    [...host.attachments.values()].flatMap(({ rulesetId }) => host.rulesets.get(rulesetId)?.rules.map((rule) => rule.portFrom));
  await replace(80);
  await expect.poll(told).toEqual([80]);
  const before = (await sql<{ id: bigint }>`SELECT max(ruleset_id) AS id FROM ruleset WHERE ruleset_id < 100000`.execute(world.db.kysely))
    .rows;
  await replace(81);
  await expect.poll(told).toEqual([81]);

  // A backup of the moment before is put back: whoever was connected is not any more.
  const last = before[0]?.id ?? 0n;
  await sql`UPDATE group_set SET ruleset_id = ${last} WHERE ruleset_id > ${last}`.execute(world.db.kysely);
  await sql`UPDATE attachment SET ruleset_id = ${last} WHERE ruleset_id > ${last}`.execute(world.db.kysely);
  await sql`DELETE FROM ruleset WHERE ruleset_id > ${last} AND ruleset_id < 100000`.execute(world.db.kysely);
  await sql`SELECT setval('ruleset_id', ${last})`.execute(world.db.kysely);
  await sql`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`.execute(world.db.kysely);
  await expect.poll(() => replace(82).then(Boolean, () => false)).toBe(true);
  await expect.poll(told).toEqual([82]);
});
