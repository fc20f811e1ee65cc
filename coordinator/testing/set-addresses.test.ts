import { afterAll, beforeAll, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { detach, scene, seconds } from "./force-scene.ts";
import type { Scene } from "./force-scene.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// Addresses that are set after the record was made (N10, C7, C9).

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const record = async ({ clients, subnetId }: Scene, privateAddresses: string[] = []): Promise<string> =>
  (await clients.interfaces.createInterface({ spec: { subnetId, privateAddresses } })).interface?.interfaceId ?? "";
const addressOf = async ({ clients, interfaceId }: Scene) =>
  (await clients.interfaces.getInterface({ interfaceId })).interface?.privateAddresses[0];
const mapped = async ({ networkId }: Scene) => (await world.operatorMappings(networkId)).map((one) => one.prefix);
const attachTo = async (at: Scene, interfaceId: string) => {
  const { instance } = await at.clients.instances.runInstance({ stopped: true });
  return at.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId: instance?.instanceId ?? "" } });
};

test("a record that is attached to nothing has its new addresses at once, and its old ones are free", async () => {
  const at = await scene(world);
  const { interfaces } = at.clients;
  const interfaceId = await record(at, ["10.0.1.50"]);
  const { interface: made } = await interfaces.getInterface({ interfaceId });
  const set = await interfaces.setAddresses({ interfaceId, privateAddresses: ["10.0.1.60", "10.0.1.61"], etag: made?.etag });
  expect(set.interface).toMatchObject({ privateAddresses: ["10.0.1.60", "10.0.1.61"], generation: 2n });
  expect(await reasonOf(interfaces.setAddresses({ interfaceId, privateAddresses: ["10.0.1.62"], etag: made?.etag }))).toBe(
    "ABORTED STALE_ETAG",
  );
  await attachTo(at, await record(at, ["10.0.1.50"]));
  const picked = (await interfaces.setAddresses({ interfaceId })).interface?.privateAddresses ?? [];
  expect(picked).toHaveLength(1);
  expect(["10.0.1.50", "10.0.1.60", "10.0.1.61"]).not.toContain(picked[0]);
});

test.each([
  ["one of another subnet", ["10.0.2.9"], "private_addresses[0]", "ADDRESS_NOT_IN_SUBNET"],
  ["the router's", ["10.0.1.9", "10.0.1.1"], "private_addresses[1]", "ADDRESS_NOT_IN_SUBNET"],
  ["one twice", ["10.0.1.9", "10.0.1.9"], "private_addresses", "INVALID_FIELD"],
  ["none", ["x"], "private_addresses[0]", "INVALID_FIELD"],
])("addresses are checked as when a record is made: %s", async (_title, privateAddresses, field, reason) => {
  const at = await scene(world);
  const refusal = await refusalOfCall(at.clients.interfaces.setAddresses({ interfaceId: at.interfaceId, privateAddresses }));
  expect(refusal).toMatchObject({ status: "INVALID_ARGUMENT", reason, violations: [{ field }] });
});

test("an attached one's old address is nobody else's until its host has said that it gave it up", async () => {
  const at = await scene(world);
  const { interfaces } = at.clients;
  const { interfaceId } = at;
  const before = (await addressOf(at)) ?? "";
  const heir = await record(at, [before]);
  at.lost.behaviour.acknowledge = false;
  const set = await interfaces.setAddresses({
    interfaceId,
    privateAddresses: ["10.0.1.77"],
    wait: WaitFor.PROGRAMMED,
    waitTimeout: seconds(0.4),
  });
  const programmed = set.interface?.attachments[0]?.conditions.find((one) => one.type === "Programmed");
  expect(programmed).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitTimedOut" });
  expect(await mapped(at)).toContain("10.0.1.77/32");
  expect(await mapped(at)).not.toContain(`${before}/32`);
  const refusal = await refusalOfCall(attachTo(at, heir));
  expect(refusal).toMatchObject({ reason: "ADDRESS_IN_USE", facts: { address: before } });
  expect(refusal.message).toContain("until its host has said that it gave it up");
  // Back to it and on again, before the host has said anything.
  await interfaces.setAddresses({ interfaceId, privateAddresses: [before] });
  await interfaces.setAddresses({ interfaceId, privateAddresses: ["10.0.1.78"] });
  expect((await refusalOfCall(attachTo(at, await record(at, ["10.0.1.77"])))).reason).toBe("ADDRESS_IN_USE");
  await expect.poll(() => [...at.lost.attachments.values()].map((one) => one.addresses)).toEqual([["10.0.1.78/24"]]);
  at.lost.acknowledge();
  await expect.poll(async () => reasonOf(attachTo(at, heir)).catch(() => "attached")).toBe("attached");
  expect((await refusalOfCall(attachTo(at, await record(at, ["10.0.1.78"])))).message).toContain("detach that one first");
});

test("an address that another attached interface has is refused, and so is a record on its way out", async () => {
  const at = await scene(world);
  const { interfaces } = at.clients;
  const { interfaceId } = at;
  const other = await record(at, ["10.0.1.90"]);
  await attachTo(at, other);
  const refusal = await refusalOfCall(interfaces.setAddresses({ interfaceId, privateAddresses: ["10.0.1.91", "10.0.1.90"] }));
  expect(refusal).toMatchObject({ reason: "ADDRESS_IN_USE", violations: [{ field: "private_addresses[1]" }] });
  // Nothing of it was done.
  await attachTo(at, await record(at, ["10.0.1.91"]));
  at.lost.behaviour.acknowledge = false;
  await detach(at, { force: false });
  expect(await reasonOf(interfaces.setAddresses({ interfaceId }))).toBe("FAILED_PRECONDITION WRONG_STATE");
});

test("while its instance stops the old address is held, and free when the host has let go", async () => {
  const at = await scene(world);
  const { interfaces, instances } = at.clients;
  const before = (await addressOf(at)) ?? "";
  const heir = await record(at, [before]);
  at.lost.behaviour.acknowledge = false;
  await instances.stopInstance({ instanceId: at.instanceId });
  await interfaces.setAddresses({ interfaceId: at.interfaceId, privateAddresses: ["10.0.1.99"] });
  expect((await refusalOfCall(attachTo(at, heir))).reason).toBe("ADDRESS_IN_USE");
  at.lost.acknowledge();
  await expect.poll(async () => reasonOf(attachTo(at, heir)).catch(() => "attached")).toBe("attached");
  expect(await addressOf(at)).toBe("10.0.1.99");
});

test("an address setter may, an attacher and a modifier may not; addresses in an update are sent there", async () => {
  const at = await scene(world);
  const [setter, attacher, modifier] = await Promise.all([world.account(), world.account(), world.account()]);
  await at.clients.interfaces.updateInterface({
    interface: {
      interfaceId: at.interfaceId,
      access: {
        attachers: [{ accountId: attacher.accountId }],
        addressSetters: [{ accountId: setter.accountId }],
        modifiers: [{ accountId: modifier.accountId }],
      },
    },
    updateMask: ["access"],
  });
  const { interfaceId } = at;
  const request = { interfaceId, privateAddresses: ["10.0.1.88"] };
  for (const who of [attacher, modifier])
    expect(await reasonOf(who.clients.interfaces.setAddresses(request))).toBe("PERMISSION_DENIED NOT_ALLOWED");
  expect((await setter.clients.interfaces.setAddresses(request)).interface?.privateAddresses).toEqual(["10.0.1.88"]);
  const update = { interface: { interfaceId, description: "x" }, updateMask: ["description"] };
  expect(await reasonOf(setter.clients.interfaces.updateInterface(update))).toBe("PERMISSION_DENIED NOT_ALLOWED");
  const masked = at.clients.interfaces.updateInterface({ interface: { interfaceId }, updateMask: ["private_addresses"] });
  expect((await refusalOfCall(masked)).message).toContain("call SetAddresses");
});
