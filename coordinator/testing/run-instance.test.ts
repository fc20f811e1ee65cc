import { afterAll, beforeAll, expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

test("an instance runs with a new interface: host item, acknowledgement, RUNNING and ATTACHED, over the real feed", async () => {
  const host = await world.host();
  const { clients } = await world.account();
  const { subnetId } = await world.network(clients);
  const { instance, operation } = await clients.instances.runInstance({
    name: "one",
    process: { argv: ["sleep", "60"], env: { A: "b" } },
    interfaces: [{ source: { $case: "create", value: { subnetId } } }],
  });
  expect(instance).toMatchObject({ state: InstanceState.PENDING, hostId: host.hostId });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  const { instance: running } = await clients.instances.getInstance({ instanceId: instance?.instanceId });
  expect(running).toMatchObject({ state: InstanceState.RUNNING, conditions: [{ type: "Running", reason: "Applied" }] });
  const { attachments } = await clients.interfaces.listAttachments({ instanceId: instance?.instanceId });
  expect(attachments).toMatchObject([{ state: AttachmentState.ATTACHED, hostId: host.hostId, deviceIndex: 0 }]);
  const item = [...host.attachments.values()][0];
  expect(item).toMatchObject({ addresses: ["10.0.1.3/24"], gateway: "10.0.1.1", gatewayMac: "02:00:5e:00:01:01", sourceDestCheck: true });
  expect(host.rulesets.has(item?.rulesetId ?? 0)).toBe(true);
});
