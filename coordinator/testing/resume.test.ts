import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { FakeHost } from "./fake-host.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

let zones = 0;
async function scene() {
  zones += 1;
  const zoneId = `resume-${zones}`;
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  const network = await world.network(clients);
  const run = async (): Promise<string> => {
    const { instance, operation } = await clients.instances.runInstance({
      zoneId,
      interfaces: [{ source: { $case: "create", value: { subnetId: network.subnetId } } }],
    });
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    return instance?.instanceId ?? "";
  };
  return { host, clients, run, instanceId: await run(), ...network };
}

async function attach(clients: Clients, subnetId: string, instanceId: string, wait?: WaitFor): Promise<string> {
  const { interface: made } = await clients.interfaces.createInterface({ spec: { subnetId } });
  const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId: made?.interfaceId, instanceId }, wait });
  return attachment?.attachmentId ?? "";
}

const kinds = (host: FakeHost) => host.received.map(({ message }) => message?.$case);

/** What a host holds that is to be there, and what it is told of it, in a form that compares. */
const stays = ({ wanted }: { wanted: Wanted }): boolean => wanted === Wanted.PRESENT;
const holds = (host: FakeHost) => ({
  instances: [...host.instances.values()].filter(stays).toSorted((a, b) => (a.instanceId < b.instanceId ? -1 : 1)),
  attachments: [...host.attachments.values()].filter(stays).toSorted((a, b) => (a.attachmentId < b.attachmentId ? -1 : 1)),
  rulesets: [...host.rulesets.values()].toSorted((a, b) => a.rulesetId - b.rulesetId),
});

/** What a host is told that was just started. */
async function fromScratch(host: FakeHost) {
  await host.disconnect();
  for (const items of [host.instances, host.attachments, host.rulesets]) items.clear();
  await host.connect();
  return holds(host);
}

describe("a session that resumes", () => {
  test("gets what it missed and no snapshot", async () => {
    const { host, clients, subnetId, instanceId } = await scene();
    await host.disconnect();
    await host.connect(host.bookmark);
    expect(kinds(host)).toEqual(["opened", "resumed", "inSync"]);
    await host.disconnect();
    const attachmentId = await attach(clients, subnetId, instanceId, WaitFor.COMMITTED);
    await host.connect(host.bookmark);
    expect(kinds(host)).toEqual(["opened", "resumed", "change", "inSync"]);
    await expect
      .poll(async () => (await clients.interfaces.getAttachment({ attachmentId })).attachment?.state)
      .toBe(AttachmentState.ATTACHED);
    const resumed = holds(host);
    expect(resumed.attachments).toHaveLength(2);
    expect(await fromScratch(host)).toEqual(resumed);
  });

  test("at a coordinator that was started again, after its own session was taken over, and at another copy", async () => {
    const { host } = await scene();
    await world.restart();
    await host.ended();
    await host.connect(host.bookmark);
    expect(kinds(host)).toEqual(["opened", "resumed", "inSync"]);
    const epoch = host.epoch;
    const copy = await world.copy();
    const there = host.at(copy.internal);
    for (const [id, item] of host.attachments) there.attachments.set(id, item);
    there.version = host.version;
    await there.connect(host.bookmark);
    expect(kinds(there)).toEqual(["opened", "resumed", "inSync"]);
    expect(there.epoch).toBe(epoch + 1n);
    await there.close();
  });

  test("is told again of what it let go, if nobody heard that", async () => {
    const { host, clients, instanceId } = await scene();
    host.behaviour.acknowledge = false;
    await clients.instances.terminateInstance({ instanceId });
    await expect.poll(() => [...host.instances.values()].map(({ wanted }) => wanted)).toEqual([Wanted.ABSENT]);
    // It said so, and forgot it; the stream broke, and the word was lost.
    host.forgetGone();
    await host.disconnect();
    host.behaviour.acknowledge = true;
    await host.connect(host.bookmark);
    expect(kinds(host)).toEqual(["opened", "resumed", "owed", "inSync"]);
    await expect.poll(async () => (await clients.instances.getInstance({ instanceId })).instance?.state).toBe(6);
    host.forgetGone();
    await host.disconnect();
    await host.connect(host.bookmark);
    expect(kinds(host)).toEqual(["opened", "resumed", "inSync"]);
  });

  test("is believed nothing that it has not said anew: what it had applied of its networks is forgotten", async () => {
    const { host, networkId } = await scene();
    const rows = async () =>
      (await sql<{ version: bigint }>`SELECT version FROM host_network_version WHERE host_id = ${host.hostId}`.execute(world.db.kysely))
        .rows;
    host.behaviour.networkVersions = new Map([[networkId, 1n]]);
    host.acknowledge();
    await expect.poll(rows).toEqual([{ version: 1n }]);
    host.behaviour.acknowledge = false;
    await host.disconnect();
    await host.connect(host.bookmark);
    expect(kinds(host)).toContain("resumed");
    expect(await rows()).toEqual([]);
    expect((await world.operator.hosts.getHost({ hostId: host.hostId })).host?.appliedVersion).toBe(0n);
    host.acknowledge();
    await expect.poll(rows).toEqual([{ version: 1n }]);
  });

  test("whose history is gone is told so and gets a snapshot, in the same stream", async () => {
    const { host, clients, subnetId, instanceId } = await scene();
    await host.disconnect();
    await attach(clients, subnetId, instanceId, WaitFor.COMMITTED);
    await attach(clients, subnetId, instanceId, WaitFor.COMMITTED);
    await sql`DELETE FROM change WHERE scope = ${`host:${host.hostId}`} AND version <= ${host.version + 1n}`.execute(world.db.kysely);
    await host.connect(host.bookmark);
    expect(kinds(host)).toEqual(["opened", "historyGone", "change", "inSync"]);
    expect(host.attachments.size).toBe(3);
    // All of the log trimmed: who misses nothing needs none of it.
    await sql`DELETE FROM change WHERE scope = ${`host:${host.hostId}`}`.execute(world.db.kysely);
    await host.disconnect();
    await host.connect(host.bookmark);
    expect(kinds(host)).toEqual(["opened", "resumed", "inSync"]);
  });

  test("of another database, of a later one than this, or with nonsense gets a snapshot", async () => {
    const { host } = await scene();
    const scope = `host:${host.hostId}`;
    const good = host.bookmark;
    const ahead = Buffer.from(good);
    ahead[8] = (ahead[8] ?? 0) + 1;
    for (const token of [ahead, Buffer.from("nonsense"), Buffer.alloc(17, 0xff), Buffer.alloc(4_000)]) {
      await host.disconnect();
      await host.connect(token);
      expect(kinds(host)).toEqual(["opened", "historyGone", "change", "inSync"]);
    }
    await host.disconnect();
    await host.connect(good);
    expect(kinds(host)).toContain("resumed");
    // A backup was put back, and as many changes were made since.
    await sql`UPDATE scope SET mark = mark + 1 WHERE scope = ${scope}`.execute(world.db.kysely);
    await host.disconnect();
    await host.connect(good);
    expect(kinds(host)).toContain("historyGone");
  });
});

test("whatever a host misses and wherever its streams are cut: resumed it holds what one that was just started is told", async () => {
  let seed = 20_261;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (seed >>> 8) % below;
  };
  const seen = { resumed: 0, historyGone: 0 };
  for (let round = 0; round < 3; round += 1) {
    const { host, clients, subnetId, instanceId, run, defaultGroup } = await scene();
    const instances = [instanceId];
    const attachments: string[] = [];
    const steps: (() => Promise<unknown>)[] = [
      async () => attachments.push(await attach(clients, subnetId, instances[random(instances.length)] ?? "", WaitFor.COMMITTED)),
      async () => {
        const [attachmentId] = attachments.splice(random(Math.max(1, attachments.length)), 1);
        if (attachmentId !== undefined)
          await clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: attachmentId }, wait: WaitFor.COMMITTED });
      },
      async () => {
        const cidr = `10.${random(200)}.0.0/16`;
        const peer = { $case: "cidr" as const, value: cidr };
        const rule = { direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: 80, portTo: 80, peer };
        await clients.groups.replaceSecurityGroupRules({ securityGroupId: defaultGroup, rules: [rule] });
      },
      async () => {
        if (host.inSync && instances.length < 4) instances.push(await run());
      },
    ];
    for (let turn = 0; turn < 20; turn += 1) {
      await steps[random(steps.length)]?.();
      if (random(3) > 0) continue;
      await host.disconnect();
      host.inSync = false;
      if (random(2) === 0) host.forgetGone();
      for (let missed = random(4); missed > 0; missed -= 1) await steps[random(3)]?.();
      if (random(3) === 0)
        await sql`DELETE FROM change WHERE scope = ${`host:${host.hostId}`} AND version <= ${host.version + 1n}`.execute(world.db.kysely);
      // Cut while it catches up, and again.
      for (let cuts = random(3); cuts > 0; cuts -= 1) {
        host.cutAfter(1 + random(4));
        await host.connect(host.bookmark).catch(() => undefined);
        await host.disconnect();
      }
      host.cutAfter(Infinity);
      await host.connect(host.bookmark);
      for (const kind of ["resumed", "historyGone"] as const) if (kinds(host).includes(kind)) seen[kind] += 1;
    }
    await host.disconnect();
    host.behaviour.acknowledge = false;
    await host.connect(host.bookmark);
    const resumed = holds(host);
    expect(await fromScratch(host), `round ${round}`).toEqual(resumed);
    host.behaviour.acknowledge = true;
  }
  expect(seen.resumed).toBeGreaterThan(6);
  expect(seen.historyGone).toBeGreaterThan(0);
}, 90_000);
