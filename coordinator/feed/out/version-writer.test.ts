import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorld } from "../../testing/world.ts";
import type { World } from "../../testing/world.ts";
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
