import { afterAll, beforeAll, expect, test } from "vitest";
import { AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

test("what was done by a consent is audited with the consent and for whoever gave it; what was done in one's own right is not", async () => {
  await world.host();
  const [alice, bob] = [await world.account(), await world.account()];
  const { subnetId } = await world.network(alice.clients);
  const access = { attachers: [{ accountId: bob.accountId }] };
  const made = await alice.clients.interfaces.createInterface({ spec: { subnetId, access } });
  const { interfaceId = "" } = made.interface ?? {};
  const consentId = made.interface?.access?.attachers[0]?.consentId;
  const ofBob = await world.network(bob.clients);
  const run = await bob.clients.instances.runInstance({
    stopped: true,
    interfaces: [{ source: { $case: "create", value: { subnetId: ofBob.subnetId } } }],
  });
  const { instanceId = "" } = run.instance ?? {};
  await bob.clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait: WaitFor.COMMITTED });

  const audit = await world.client(AuditServiceDefinition);
  const attached = async (resourceId: string) =>
    (await audit.listAuditEntries({ resourceId })).entries
      .filter((entry) => entry.action === "nivc:AttachInterface")
      .map(({ accountId, onBehalfOf, delegationId, reason }) => ({ accountId, onBehalfOf, delegationId, reason }));
  expect(consentId).toMatch(/^cons-/);
  expect(await attached(interfaceId)).toEqual([
    { accountId: bob.accountId, onBehalfOf: alice.accountId, delegationId: consentId, reason: "grantee-acts" },
  ]);
  expect(await attached(instanceId)).toEqual([{ accountId: bob.accountId, onBehalfOf: bob.accountId, delegationId: "", reason: "owner" }]);
});
