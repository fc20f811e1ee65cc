import { afterAll, beforeAll, expect, test } from "vitest";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

async function attached(here: Clients, subnetId: string, instanceId: string): Promise<number> {
  const made = await here.interfaces.createInterface({ spec: { subnetId } });
  const start = performance.now();
  const { attachment } = await here.interfaces.attachInterface({
    spec: { interfaceId: made.interface?.interfaceId, instanceId },
    wait: WaitFor.REACHABLE,
  });
  expect(attachment).toMatchObject({
    state: AttachmentState.ATTACHED,
    conditions: [{ type: "Programmed" }, { type: "Reachable", reason: "AllHostsApplied" }],
  });
  return performance.now() - start;
}

test("one copy holds the host's session, another one waits for it; with a bus, and without one", async () => {
  const host = await world.host();
  const { accountId, clients } = await world.account();
  const { subnetId, networkId } = await world.network(clients);
  host.behaviour.networkVersions.set(networkId, 1_000_000n);
  const other = await (await world.copy()).as(accountId);
  const { instance, operation } = await other.instances.runInstance({ interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
  expect(await world.finished(other, operation?.operationId)).toBe("SUCCEEDED");
  await attached(other, subnetId, instance?.instanceId ?? "");
  // Hints and signals lost: slower, never stale.
  world.hub.fate = () => "lose";
  await attached(other, subnetId, instance?.instanceId ?? "");
  // Doubled: nothing happens twice.
  world.hub.fate = () => "twice";
  await attached(other, subnetId, instance?.instanceId ?? "");
  expect(host.failure).toBeUndefined();
  expect(host.attachments.size).toBe(4);
  world.hub.fate = () => "deliver";
});

test("a session taken over at another copy ends the one here", async () => {
  const host = await world.host();
  const copy = await world.copy();
  const old = host.ended();
  const before = host.epoch;
  const elsewhere = host.at(copy.internal);
  await elsewhere.connect();
  await old;
  expect(host.failure).toMatchObject({ code: 10 });
  expect(elsewhere.epoch).toBe(before + 1n);
  await elsewhere.close();
});
