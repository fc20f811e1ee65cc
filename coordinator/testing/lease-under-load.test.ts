import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { holdOpen, lockWaits } from "./locks.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

/** More than the coordinator has connections for calls. */
const CALLS = 30;

test("hosts stay connected, and hosts count as heard, while calls that wait for each other have all connections", async () => {
  const host = await world.host();
  const { clients } = await world.account();
  const { subnetId } = await world.network(clients);
  const held = await holdOpen(world.db.kysely, (tx) => sql`SELECT FROM subnet WHERE subnet_id = ${subnetId} FOR UPDATE`.execute(tx));
  const calls = Array.from({ length: CALLS }, () => clients.interfaces.createInterface({ spec: { subnetId } }));
  const made = Promise.all(calls);
  await expect.poll(() => lockWaits(world.db.kysely)).toBeGreaterThanOrEqual(20);
  await world.age(host.hostId, 10);
  await sql`UPDATE host_service SET seen = now() - interval '4 seconds'`.execute(world.db.kysely);
  const heard = async () => {
    const { rows } = await sql<{ host: number; service: number }>`
      SELECT extract(epoch FROM now() - last_seen)::float AS host, extract(epoch FROM now() - seen)::float AS service
      FROM host, host_service WHERE host_id = ${host.hostId}`.execute(world.db.kysely);
    const [row] = rows;
    return row !== undefined && row.host < 3 && row.service < 3;
  };
  host.beat();
  await expect.poll(heard, { timeout: 3_000 }).toBe(true);
  await held.release();
  await made;
});
