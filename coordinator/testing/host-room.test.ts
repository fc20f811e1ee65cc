import { sql } from "kysely";
import type { Transaction } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { hasRoom } from "../placement/out/host-room.ts";
import { holdOpen, lockWaits } from "./locks.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";
import type { FakeHost } from "./fake-host.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// N2, B9: where instances go, and why they cannot.

let world: World;
let clients: Clients;
let subnetId: string;
beforeAll(async () => {
  world = await startWorld();
  ({ clients } = await world.account());
  ({ subnetId } = await world.network(clients));
});
afterAll(() => world?.stop());

const run = async (zoneId: string, interfaces = 1): Promise<{ instanceId: string; hostId: string }> => {
  const create = { source: { $case: "create" as const, value: { subnetId } } };
  const { instance } = await clients.instances.runInstance({ zoneId, interfaces: Array.from({ length: interfaces }, () => create) });
  return { instanceId: instance?.instanceId ?? "", hostId: instance?.hostId ?? "" };
};
const cordon = (host: FakeHost, schedulable: boolean) =>
  world.operator.hosts.updateHost({ host: { hostId: host.hostId, schedulable }, updateMask: ["schedulable"] });
const bounded = async (zoneId: string, capacity: { maxInstances: number; maxAttachments: number }): Promise<FakeHost> => {
  const host = await world.host(zoneId);
  await host.disconnect();
  host.capacity = capacity;
  await host.connect();
  return host;
};

it("a cordoned host is given nothing, by no way, until it is uncordoned; what is on it stays", async () => {
  const [one, two] = [await world.host("zone-c"), await world.host("zone-c")];
  const first = await run("zone-c");
  const [used, spare] = first.hostId === one.hostId ? [one, two] : [two, one];
  expect((await cordon(spare, false)).host).toMatchObject({ hostId: spare.hostId, schedulable: false });
  // The spare one has fewer.
  for (let count = 0; count < 2; count += 1) expect((await run("zone-c")).hostId).toBe(used.hostId);
  await cordon(used, false);
  const refused = await refusalOfCall(run("zone-c"));
  expect(refused).toMatchObject({ status: "FAILED_PRECONDITION", reason: "NO_HOST", facts: { zone_id: "zone-c", why: "cordoned" } });
  expect(refused.message).toMatch(/cordoned.*uncordon a host/);
  const named = world.operator.instances.runInstance({
    ownerAccount: (await clients.instances.getInstance({ instanceId: first.instanceId })).instance?.ownerAccount,
    hostId: used.hostId,
    interfaces: [{ source: { $case: "create", value: { subnetId } } }],
  });
  expect(await reasonOf(named)).toBe("FAILED_PRECONDITION NO_HOST");
  expect((await clients.instances.getInstance({ instanceId: first.instanceId })).instance?.hostId).toBe(used.hostId);
  await cordon(spare, true);
  expect((await run("zone-c")).hostId).toBe(spare.hostId);
});

it("a full host is no host, exactly, however many ask at once; the reason says it", async () => {
  const host = await bounded("zone-d", { maxInstances: 3, maxAttachments: 100 });
  expect((await world.operator.hosts.getHost({ hostId: host.hostId })).host?.capacity).toEqual({ maxInstances: 3, maxAttachments: 100 });
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => run("zone-d")));
  expect(outcomes.filter((one) => one.status === "fulfilled")).toHaveLength(3);
  const refused = await refusalOfCall(run("zone-d"));
  expect(refused).toMatchObject({ status: "FAILED_PRECONDITION", reason: "NO_HOST", facts: { why: "full" } });
  expect(refused.message).toMatch(/is full: terminate instances there or let another host join/);
  const [instance] = (await clients.instances.listInstances({ pageSize: 1_000 })).instances.filter((one) => one.hostId === host.hostId);
  const { operation } = await clients.instances.terminateInstance({ instanceId: instance?.instanceId ?? "" });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  expect((await run("zone-d")).hostId).toBe(host.hostId);
});

it("who finds a host full when its turn comes holds up nobody there, and so waits for nobody who waits for it", async () => {
  const host = await bounded("zone-g", { maxInstances: 1, maxAttachments: 100 });
  const room = (tx: Transaction<unknown>) => hasRoom(tx, { hostId: host.hostId, maxInstances: 1, maxAttachments: 100 }, 1);
  const turns = async (tx: Transaction<unknown>) =>
    (await sql`SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'`.execute(tx)).rows.length;
  const db = world.db.kysely;
  const first = await holdOpen(db, async (tx) => [await room(tx), await turns(tx)]);
  expect(first.result).toEqual([true, 1]);
  const second = run("zone-g");
  await expect.poll(() => lockWaits(db, { kind: "advisory" })).toBe(1);
  const third = db.transaction().execute(async (tx) => [await room(tx), await turns(tx)]);
  await expect.poll(() => lockWaits(db, { kind: "advisory" })).toBe(2);
  await first.release();
  expect((await second).hostId).toBe(host.hostId);
  expect(await third).toEqual([false, 0]);
});

it("interfaces take places too: what does not fit goes to a host where it does", async () => {
  const small = await bounded("zone-e", { maxInstances: 100, maxAttachments: 2 });
  expect((await run("zone-e", 2)).hostId).toBe(small.hostId);
  expect(await reasonOf(run("zone-e"))).toBe("FAILED_PRECONDITION NO_HOST");
  const wide = await bounded("zone-e", { maxInstances: 100, maxAttachments: 100 });
  expect((await run("zone-e")).hostId).toBe(wide.hostId);
  // Now the small one has as few instances, and still no place.
  expect((await run("zone-e")).hostId).toBe(wide.hostId);
});

it("only what can be changed is named in the mask, of a host that there is", async () => {
  const { hostId } = await world.host("zone-f");
  const update = (updateMask: string[], id = hostId) =>
    world.operator.hosts.updateHost({ host: { hostId: id, schedulable: false }, updateMask });
  expect(await reasonOf(update([]))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  expect(await reasonOf(update(["name"]))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  expect(await reasonOf(update(["schedulable"], `host-${"0".repeat(32)}`))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
});
