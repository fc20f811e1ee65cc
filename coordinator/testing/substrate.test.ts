import { afterAll, beforeAll, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { FakeHost } from "./fake-host.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// N2: data-plane readiness is reported, not assumed.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const { TRUE, FALSE, UNKNOWN } = ConditionStatus;
const CUT = { deviceReady: false, message: "device sub0, which holds the substrate address, has no carrier" };

async function scene(zoneId: string) {
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  const { subnetId, networkId } = await world.network(clients);
  host.behaviour.networkVersions.set(networkId, 1_000_000n);
  return { host, clients, subnetId, instanceId: await run(clients, zoneId, subnetId) };
}

async function run(clients: Clients, zoneId: string, subnetId: string): Promise<string> {
  const interfaces = [{ source: { $case: "create" as const, value: { subnetId } } }];
  const { instance, operation } = await clients.instances.runInstance({ zoneId, interfaces });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  return instance?.instanceId ?? "";
}

async function attach(clients: Clients, subnetId: string, instanceId: string, wait: WaitFor, waitSeconds: bigint) {
  const { interface: made } = await clients.interfaces.createInterface({ spec: { subnetId } });
  const { attachment } = await clients.interfaces.attachInterface({
    spec: { interfaceId: made?.interfaceId, instanceId },
    ...{ wait, waitTimeout: { seconds: waitSeconds, nanos: 0 } },
  });
  return attachment!;
}

/** The host's own condition, as operators read it. */
const standing = async ({ hostId }: FakeHost) =>
  (await world.operator.hosts.getHost({ hostId })).host?.conditions.find((one) => one.type === "SubstrateReady");
const told = async (host: FakeHost, reason: string): Promise<void> => {
  await expect.poll(async () => (await standing(host))?.reason).toBe(reason);
};

test("a host's word of its substrate is its condition, and each session begins with a new one", async () => {
  const host = await world.host("substrate-word");
  expect(await standing(host)).toMatchObject({ status: TRUE, reason: "Ready" });
  host.stand(CUT);
  await told(host, "SubstrateDown");
  expect(await standing(host)).toMatchObject({ status: FALSE, message: CUT.message });
  const since = (await standing(host))?.lastTransitionTime;
  host.stand({ ...CUT, message: "another word for it" });
  await expect.poll(async () => (await standing(host))?.message).toBe("another word for it");
  expect((await standing(host))?.lastTransitionTime).toEqual(since);
  host.stand({ tunnelReady: false, message: "x" });
  await told(host, "TunnelDown");
  await host.disconnect();
  await expect.poll(async () => (await standing(host))?.status).toBe(UNKNOWN);
  await host.connect();
  expect(await standing(host)).toMatchObject({ status: FALSE, reason: "TunnelDown" }); // from its first word on
  await host.disconnect();
  host.substrate = undefined;
  await host.connect();
  expect(await standing(host)).toMatchObject({ status: UNKNOWN, reason: "NotReported" });
});

test("attachments of a host that is cut off say so, tenants without its id, and a wait answers that instead of TRUE", async () => {
  const { host, clients, subnetId, instanceId } = await scene("substrate-attach");
  const before = await attach(clients, subnetId, instanceId, WaitFor.REACHABLE, 5n);
  expect(before.conditions.map((one) => one.status)).toEqual([TRUE, TRUE]);
  host.stand(CUT);
  await told(host, "SubstrateDown");
  const { attachment: old } = await clients.interfaces.getAttachment({ attachmentId: before.attachmentId });
  for (const wait of [WaitFor.PROGRAMMED, WaitFor.REACHABLE]) {
    const fresh = await attach(clients, subnetId, instanceId, wait, 1n);
    for (const conditions of [fresh.conditions, old!.conditions]) {
      expect(conditions.map((one) => [one.type, one.status, one.reason])).toEqual([
        ["Programmed", FALSE, "SubstrateDown"],
        ["Reachable", FALSE, "SubstrateDown"],
      ]);
      for (const { message } of conditions) expect(message).not.toMatch(/host-|sub0/);
    }
  }
  const waiting = attach(clients, subnetId, instanceId, WaitFor.PROGRAMMED, 30n);
  await expect.poll(() => host.attachments.size).toBe(5);
  host.stand({});
  expect((await waiting).conditions.map((one) => one.status)).toEqual([TRUE, TRUE]);
  const { attachments } = await clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: before.attachmentId } });
  expect(attachments[0]?.conditions).toMatchObject([{ type: "Detached", status: TRUE }]);
});

test("nothing new is placed on a host that is cut off; another host of the zone takes it", async () => {
  const { host, clients, subnetId } = await scene("substrate-place");
  host.stand(CUT);
  await told(host, "SubstrateDown");
  const refused = callFailure(
    await run(clients, "substrate-place", subnetId).then(
      () => undefined,
      (error: unknown) => error,
    ),
  );
  expect(refused).toMatchObject({ reason: "NO_HOST", message: expect.stringContaining("cannot carry packets to others") });
  expect(refused?.message).not.toMatch(/host-/);
  const other = await world.host("substrate-place");
  const instanceId = await run(clients, "substrate-place", subnetId);
  const { instance } = await clients.instances.getInstance({ instanceId });
  expect(instance?.hostId).toBe(other.hostId);
});
