import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MeterReading } from "#gen/plenum/host/v1/host_feed.ts";
import { openDatabase } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { startTestPostgres } from "#lib/db/testing.ts";
import { transaction } from "#lib/db/transaction.ts";
import { silentLog } from "#lib/log/log.ts";
import { foldEpochs, MOST_EPOCHS } from "../fold-epochs.ts";
import { trafficOf } from "../interface/out/meter-store.ts";
import { coordinatorMigrations, SCHEMA } from "../migrations.ts";
import type { FakeHost } from "./fake-host.ts";
import { lockAwaited } from "./locks.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// C22: what hosts counted arrives once, whatever is lost, repeated or late, and over lives of a host.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

interface Scene {
  host: FakeHost;
  clients: Clients;
  interfaceId: string;
  meterId: bigint;
  wireId: number;
}

let zones = 0;
async function scene(): Promise<Scene> {
  zones += 1;
  const zoneId = `counters-${zones}`;
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  const { subnetId } = await world.network(clients);
  const run = await clients.instances.runInstance({ zoneId, interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
  expect(await world.finished(clients, run.operation?.operationId)).toBe("SUCCEEDED");
  const interfaceId = (await clients.interfaces.listInterfaces({})).interfaces[0]?.interfaceId ?? "";
  const [item] = host.attachments.values();
  return { host, clients, interfaceId, meterId: item?.meterId ?? 0n, wireId: item?.wireId ?? 0 };
}

const trafficIn = async ({ clients, interfaceId }: Scene) => (await clients.interfaces.getInterface({ interfaceId })).interface?.traffic;
const hostDrops = async ({ host }: Scene) => (await world.operator.hosts.getHost({ hostId: host.hostId })).host?.hostDropsByReason;

/** Ten bytes a packet. */
const reading = (meterId: bigint, packets: number): MeterReading => ({
  meterId,
  egressPackets: BigInt(packets),
  egressBytes: BigInt(packets) * 10n,
  ingressPackets: 0n,
  ingressBytes: 0n,
});

let sequence = 0n;
/** Sends these and waits until the last of them is acknowledged. */
async function counted({ host }: Scene, messages: readonly Parameters<FakeHost["count"]>[0][]): Promise<void> {
  for (const message of messages) host.count({ ...message, sequence: (sequence += 1n) });
  await expect.poll(() => host.counted, { timeout: 15_000 }).toBe(sequence);
}

test("readings of many lives in any order, each any number of times, add up to the largest of each life", async () => {
  const at = await scene();
  const expected = { packets: 0, drops: 0, hostDrops: 0 };
  let life = 1n << 60n;
  const message = fc.record({ life: fc.nat(3), packets: fc.nat(1_000), drops: fc.nat(50), copies: fc.integer({ min: 1, max: 2 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 20 }), async (messages) => {
      life += 10n;
      await counted(
        at,
        messages.flatMap(({ copies, ...one }) =>
          Array.from({ length: copies }, () => ({
            epoch: life + BigInt(one.life),
            meters: [reading(at.meterId, one.packets)],
            drops: [
              { wireId: at.wireId, reason: "NO_RULE", packets: BigInt(one.drops), epoch: life + 5n + BigInt(one.life) },
              { wireId: 0, reason: "UNKNOWN_VNI", packets: BigInt(one.drops) }, // of the message's epoch
            ],
          })),
        ),
      );
      for (let n = 0; n <= 3; n++) {
        const own = messages.filter((one) => one.life === n);
        expected.packets += Math.max(0, ...own.map(({ packets }) => packets));
        expected.drops += Math.max(0, ...own.map(({ drops }) => drops));
      }
      expect(await trafficIn(at)).toMatchObject({
        egressPackets: BigInt(expected.packets),
        egressBytes: BigInt(expected.packets) * 10n,
        dropsByReason: { NO_RULE: BigInt(expected.drops) },
      });
      expect(await hostDrops(at)).toEqual({ UNKNOWN_VNI: BigInt(expected.drops) });
    }),
    { numRuns: 25 },
  );
});

test("lives without number are folded, and what was counted stays", async () => {
  const at = await scene();
  const lives = Array.from({ length: MOST_EPOCHS + 10 }, (_, n) => BigInt(n + 1));
  await counted(
    at,
    lives.map((epoch) => ({
      epoch,
      meters: [reading(at.meterId, Number(epoch))],
      drops: [0, at.wireId].map((wireId) => ({ wireId, reason: "NO_RULE", packets: epoch })),
    })),
  );
  const rows = async () => {
    const { rows } = await sql<{ count: number }>`
      SELECT count(*)::int AS count FROM meter_reading WHERE meter_id = ${at.meterId}
      UNION ALL SELECT count(*)::int FROM attachment_drop WHERE wire_id = ${at.wireId}
      UNION ALL SELECT count(*)::int FROM host_drop WHERE host_id = ${at.host.hostId}`.execute(world.db.kysely);
    return rows.map(({ count }) => count);
  };
  const counts = async () => [await trafficIn(at), await hostDrops(at)];
  const before = await counts();
  const sum = lives.reduce((all, one) => all + one, 0n);
  expect(before).toMatchObject([{ egressPackets: sum, dropsByReason: { NO_RULE: sum } }, { NO_RULE: sum }]);
  expect(await rows()).toEqual([lives.length, lives.length, lives.length]);
  await Promise.all([foldEpochs(world.db.kysely), foldEpochs(world.db.kysely)]);
  const kept = MOST_EPOCHS / 2 + 1;
  expect(await rows()).toEqual([kept, kept, kept]);
  expect(await counts()).toEqual(before);
  // The present life goes on.
  await counted(at, [{ epoch: lives.at(-1), meters: [reading(at.meterId, lives.length + 5)] }]);
  expect((await trafficIn(at))?.egressPackets).toBe(sum + 5n);
});

describe("an acknowledgement", () => {
  test("comes after the commit and not before", async () => {
    const at = await scene();
    const name = (sequence += 1n);
    await transaction(world.db.kysely, async (tx) => {
      await sql`SELECT FROM meter WHERE meter_id = ${at.meterId} FOR UPDATE`.execute(tx);
      at.host.count({ meters: [reading(at.meterId, 7)], epoch: 5n, sequence: name });
      await lockAwaited(world.db.kysely);
      expect(at.host.counted).toBe(0n);
    });
    await expect.poll(() => at.host.counted).toBe(name);
    expect((await trafficIn(at))?.egressPackets).toBe(7n);
  });

  test("is for those who ask: an agent of before counts as ever, under an epoch that later ones add to", async () => {
    const at = await scene();
    at.host.count({ meters: [reading(at.meterId, 100)], drops: [{ wireId: at.wireId, reason: "NO_RULE", packets: 3n }] });
    await expect.poll(async () => (await trafficIn(at))?.droppedPackets).toBe(3n);
    expect(at.host.received.some(({ message }) => message?.$case === "countersAcknowledged")).toBe(false);
    const life = { epoch: 9n, meters: [reading(at.meterId, 20)] };
    await counted(at, [{ ...life, drops: [{ wireId: at.wireId, reason: "NO_RULE", packets: 1n, epoch: 10n }] }]);
    expect(await trafficIn(at)).toMatchObject({ egressPackets: 120n, droppedPackets: 4n });
  });

  test("is given for what counts for nobody, too: a meter that is forgotten, one of another host", async () => {
    const [one, other] = [await scene(), await scene()];
    const drops = [{ wireId: other.wireId, reason: "NO_RULE", packets: 9n, epoch: 2n }];
    await counted(one, [{ epoch: 1n, meters: [reading(404_404n, 5), reading(other.meterId, 5)], drops }]);
    expect(await trafficIn(other)).toMatchObject({ egressPackets: 0n, droppedPackets: 0n });
  });
});

test("what was counted before there were epochs is kept", async () => {
  const postgres = await startTestPostgres();
  const db = openDatabase({ url: postgres.url, schema: SCHEMA, log: silentLog() });
  try {
    const before = Object.entries(coordinatorMigrations).filter(([name]) => name < "0031");
    await migrate(db.kysely, SCHEMA, Object.fromEntries(before));
    await sql`
      INSERT INTO meter (meter_id, attachment_id, interface_id, host_id, wire_id, egress_packets, egress_bytes, read_time)
      VALUES (1, 'a', 'i', 'h', 7, 5, 500, now()), (2, 'a', 'i', 'h', 7, 1, 100, now()), (3, 'a', 'i', 'g', 7, 0, 0, NULL)`.execute(
      db.kysely,
    );
    await sql`INSERT INTO meter_drop VALUES (1, 'NO_RULE', 4), (2, 'NO_RULE', 3)`.execute(db.kysely);
    await migrate(db.kysely, SCHEMA, coordinatorMigrations);
    const traffic = (await trafficOf(db.kysely, ["i"])).get("i");
    expect(traffic).toMatchObject({ egressPackets: 6n, egressBytes: 600n, ingressBytes: 0n, droppedPackets: 7n });
  } finally {
    await db.close();
    await postgres.stop();
  }
});
