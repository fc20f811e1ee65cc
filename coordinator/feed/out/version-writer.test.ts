import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { holdOpen } from "../../testing/locks.ts";
import { startWorld } from "../../testing/world.ts";
import type { World } from "../../testing/world.ts";
import type { Signals } from "../../interface/api.ts";
import { VersionWriter } from "./version-writer.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

test("one that cannot be written keeps no other of its batch from being written", async () => {
  const announced: string[] = [];
  const signals = {
    announce: (keys: readonly string[]) => void announced.push(...keys),
    watch: () => {
      throw new Error("nobody waits here");
    },
    close: () => undefined,
  };
  const writer = new VersionWriter(world.db.kysely, signals);
  const [good, bad, last] = [await world.host(), await world.host(), await world.host()];
  const say = ({ hostId, epoch }: typeof good, version: bigint) =>
    writer.write({ hostId, epoch, hostVersion: 0n, networks: new Map([[7n, version]]) });
  const outcomes = await Promise.allSettled([say(good, 5n), say(bad, 2n ** 63n), say({ ...last, epoch: 99n } as typeof last, 5n)]);
  expect(outcomes).toMatchObject([{ value: true }, { status: "rejected" }, { value: false }]);
  expect(announced).toEqual(["network:7"]);
  // None has anything in that network: its version is not kept.
  const { rows } = await sql`SELECT FROM host_network_version`.execute(world.db.kysely);
  expect(rows).toEqual([]);
});

test("a host that somebody holds keeps no other waiting, and what it says meanwhile is written at once, after that", async () => {
  const announced: string[] = [];
  const signals = { announce: (keys: readonly string[]) => void announced.push(...keys) } as unknown as Signals;
  const writer = new VersionWriter(world.db.kysely, signals);
  const [held, other] = [await world.host(), await world.host()];
  const say = ({ hostId, epoch }: typeof held, version: bigint) =>
    writer.write({ hostId, epoch, hostVersion: version, networks: new Map([[8n, version]]) });
  const holding = await holdOpen(world.db.kysely, (tx) => sql`SELECT FROM host WHERE host_id = ${held.hostId} FOR UPDATE`.execute(tx));
  const late: Promise<boolean>[] = [];
  for (let version = 1n; version <= 500n; version += 1n) {
    late.push(say(held, version));
    if (version % 100n === 0n) expect(await say(other, version)).toBe(true);
  }
  late.push(say({ ...held, epoch: held.epoch - 1n } as typeof held, 9_999n)); // of a session that is over
  const before = announced.length;
  await holding.release();
  const answers = await Promise.all(late);
  expect(answers.slice(0, -1).every(Boolean)).toBe(true);
  expect(answers.at(-1)).toBe(false);
  expect(announced.length - before).toBeLessThanOrEqual(2);
  const { rows } = await sql`SELECT applied_version AS version FROM host WHERE host_id = ${held.hostId}`.execute(world.db.kysely);
  expect(rows).toEqual([{ version: 500n }]);
  await writer.idle();
});
