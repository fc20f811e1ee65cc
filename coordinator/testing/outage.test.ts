import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { transaction } from "#lib/db/transaction.ts";
import type { Tx } from "../call/api.ts";
import { readHosts } from "../placement/api.ts";
import { writeLease, writePresence } from "../placement/out/service-store.ts";
import { catchUp, detach, detached, lose, scene } from "./force-scene.ts";
import type { Scene } from "./force-scene.ts";
import { refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// C7: a host that nobody could have heard is not silent. After an outage each has a lease to come back.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const read = async ({ clients, interfaceId }: Scene) =>
  (await clients.interfaces.getInterface({ interfaceId })).interface?.attachments[0] ?? { state: AttachmentState.DETACHED };

describe("after an outage of all coordinators that is longer than a lease", () => {
  test("what was forced before waits for every host as long as a lease, and ends then", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    expect((await detach(at, { force: true }))?.state).toBe(AttachmentState.DETACHING);
    await world.restart(() => world.pass(3_600, true));
    // Time in which it would end: the loop looks at once and each quarter of a second.
    const still = await detach(at, { force: false, wait: 1 });
    expect(still?.state).toBe(AttachmentState.DETACHING);
    await world.pass(10, false);
    expect((await detach(at, { force: false, wait: 0.6 }))?.state).toBe(AttachmentState.DETACHING);
    // The other host is back within its lease: its word is awaited, and the lost one's until the lease is over.
    await at.other.disconnect();
    await at.other.connect();
    await catchUp(world, at.other, at.networkId);
    expect((await detach(at, { force: false, wait: 0.6 }))?.state).toBe(AttachmentState.DETACHING);
    await world.pass(6, false);
    await expect.poll(async () => (await read(at)).state, { timeout: 5_000 }).toBe(AttachmentState.DETACHED);
  });

  test("force is refused for a lease, and the refusal says until when", async () => {
    const at = await scene(world);
    await lose(world, at, 20);
    await world.restart(() => world.pass(3_600, true));
    const refusal = await refusalOfCall(detach(at, { force: true }));
    expect(refusal).toMatchObject({ reason: "WRONG_STATE", facts: { state: "HOST_LEASE_RUNNING" } });
    expect(Math.abs(Date.parse(refusal.facts["lease_end_time"] ?? "") - Date.now() - 15_000)).toBeLessThan(5_000);
    await world.pass(16, false);
    await at.other.connect();
    const ending = detach(at, { force: true, wait: 5 });
    await expect.poll(async () => (await read(at)).state).toBe(AttachmentState.DETACHING);
    await catchUp(world, at.other, at.networkId);
    expect(detached(await ending)).toMatchObject({ reason: "Forced" });
  });

  test("a restart that is short needs no patience", async () => {
    const at = await scene(world);
    await world.pass(60, false);
    await world.restart();
    await lose(world, at, 20);
    await at.other.connect();
    const ending = detach(at, { force: true, wait: 5 });
    await expect.poll(async () => (await read(at)).state).toBe(AttachmentState.DETACHING);
    await catchUp(world, at.other, at.networkId);
    expect((await ending)?.state).toBe(AttachmentState.DETACHED);
  });
});

describe("by the row that the copies share", () => {
  const undone = new Error("undone");
  /** `fn` with the row as given, seconds ago; nobody else sees that. Times within it stand still. */
  async function given(row: { since: number; seen: number }, fn: (tx: Tx) => Promise<void>): Promise<void> {
    const trial = transaction(world.db.kysely, async (tx) => {
      await writeLease(tx, 15_000);
      await sql`UPDATE host_service SET since = now() - ${row.since} * interval '1 second', seen = now() - ${row.seen} * interval '1 second'`.execute(
        tx,
      );
      await fn(tx);
      throw undone;
    });
    await expect(trial).rejects.toBe(undone);
  }
  const since = async (tx: Tx): Promise<number> => {
    const { rows } = await sql<{ ago: number }>`SELECT extract(epoch FROM now() - since)::float8 AS ago FROM host_service`.execute(tx);
    return rows[0]?.ago ?? -1;
  };

  test.each([
    ["no break", { since: 100, seen: 1 }, 100],
    ["another copy that said it a moment later", { since: 100, seen: -0.5 }, 100],
    ["a break", { since: 100, seen: 6 }, 0],
    ["a clock that went back", { since: -500, seen: -600 }, 0],
    ["a row of the future under a word of now", { since: -5, seen: 1 }, 0],
  ])("hosts are heard since: %s", async (_what, row, expected) => {
    await given(row, async (tx) => {
      await writePresence(tx);
      expect(await since(tx)).toBe(expected);
    });
  });

  test.each([
    ["its lease is over and it could be heard", { since: 100, seen: 1 }, 20, true],
    ["its lease runs", { since: 100, seen: 1 }, 14, false],
    ["it could be heard for less than a lease", { since: 14, seen: 1 }, 20, false],
    ["nobody says that it is there", { since: 100, seen: 6 }, 20, false],
  ])("a host's silence: %s", async (_what, row, seen, silent) => {
    const { hostId } = await world.host();
    await world.age(hostId, seen);
    await given(row, async (tx) => {
      await sql`UPDATE host SET last_seen = now() - ${seen} * interval '1 second' WHERE host_id = ${hostId}`.execute(tx);
      const host = (await readHosts(tx, [hostId])).get(hostId);
      expect(host?.silent).toBe(silent);
      expect((host?.lease_end?.getTime() ?? 0) <= Date.now() + 500).toBe(silent);
    });
  });

  test("a lease of another length counts for every copy from the start of the one that has it", async () => {
    const { hostId } = await world.host();
    await given({ since: 100, seen: 0 }, async (tx) => {
      await writeLease(tx, 60_000);
      await sql`UPDATE host SET last_seen = now() - interval '59 seconds' WHERE host_id = ${hostId}`.execute(tx);
      expect((await readHosts(tx, [hostId])).get(hostId)).toMatchObject({ silent: false, connected: true });
    });
  });
});
