import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConsentServiceDefinition } from "#gen/plenum/consent/v1/consent.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { reasonOf } from "./refusal.ts";
import { startWorld, ZONE } from "./world.ts";
import type { Clients, World } from "./world.ts";

// Who knows an id of another account's learns nothing by it, and makes nobody wait.

const wait = WaitFor.COMMITTED;
const HIDDEN = "NOT_FOUND RESOURCE_NOT_FOUND";
let world: World;
let owner: { accountId: string; clients: Clients };
let stranger: { accountId: string; clients: Clients };
let subnetId: string;
beforeAll(async () => {
  world = await startWorld();
  await world.host();
  [owner, stranger] = [await world.account(), await world.account()];
  ({ subnetId } = await world.network(owner.clients));
});
afterAll(() => world?.stop());

const runWith = async (clients: Clients, of: string) => {
  const { instance } = await clients.instances.runInstance({
    stopped: true,
    interfaces: [{ source: { $case: "create", value: { subnetId: of } } }],
  });
  const { instanceId = "" } = instance ?? {};
  const [attachment] = (await clients.interfaces.listAttachments({ instanceId })).attachments;
  return { instanceId, interfaceId: attachment?.interfaceId ?? "", attachmentId: attachment?.attachmentId ?? "" };
};

describe("a stranger's call", () => {
  it("does not wait for what others have locked, nor make them wait", async () => {
    const theirs = await runWith(owner.clients, subnetId);
    const access = { attachers: [{ accountId: owner.accountId }] };
    const listed = (await owner.clients.interfaces.createInterface({ spec: { subnetId, access } })).interface;
    const consentId = listed?.access?.attachers[0]?.consentId ?? "";
    const own = await world.network(stranger.clients);
    const mine = await runWith(stranger.clients, own.subnetId);
    const free = (await stranger.clients.interfaces.createInterface({ spec: { subnetId: own.subnetId } })).interface?.interfaceId ?? "";
    const consents = await world.client(ConsentServiceDefinition, { role: "owner", accountId: stranger.accountId });
    const { interfaces, instances } = stranger.clients;
    const { interfaceId, instanceId, attachmentId } = theirs;
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      update: () => interfaces.updateInterface({ interface: { interfaceId, description: "x" }, updateMask: ["description"] }),
      addresses: () => interfaces.setAddresses({ interfaceId, privateAddresses: ["10.0.1.77"] }),
      delete: () => interfaces.deleteInterface({ interfaceId }),
      "attach theirs": () => interfaces.attachInterface({ spec: { interfaceId, instanceId: mine.instanceId }, wait }),
      "attach to theirs": () => interfaces.attachInterface({ spec: { interfaceId: free, instanceId }, wait }),
      "attach both": () =>
        interfaces.batchAttachInterfaces({
          specs: [
            { interfaceId: free, instanceId: mine.instanceId },
            { interfaceId, instanceId: mine.instanceId },
          ],
          wait,
        }),
      detach: () => interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId }, wait }),
      "detach all": () => interfaces.detachInterface({ target: { $case: "instanceId", value: instanceId }, wait }),
      attachment: () => interfaces.updateAttachment({ attachment: { attachmentId }, updateMask: ["delete_on_terminate"] }),
      create: () => interfaces.createInterface({ spec: { subnetId } }),
      run: () => instances.runInstance({ stopped: true, interfaces: [{ source: { $case: "interfaceId", value: interfaceId } }] }),
      start: () => instances.startInstance({ instanceId }),
      stop: () => instances.stopInstance({ instanceId }),
      terminate: () => instances.terminateInstance({ instanceId }),
      describe: () => instances.updateInstance({ instance: { instanceId, name: "x" }, updateMask: ["name"] }),
      revoke: () => consents.revokeConsent({ consentId }),
    };
    await world.db.kysely.transaction().execute(async (tx) => {
      for (const [table, key, id] of [
        ["interface", "interface_id", interfaceId],
        ["instance", "instance_id", instanceId],
        ["attachment", "attachment_id", attachmentId],
        ["subnet", "subnet_id", subnetId],
        ["consent", "consent_id", consentId],
      ] as const) {
        const { rows } = await sql`SELECT FROM ${sql.ref(table)} WHERE ${sql.ref(key)} = ${id} FOR UPDATE`.execute(tx);
        expect(rows).toHaveLength(1);
      }
      for (const [name, call] of Object.entries(calls)) expect(`${name}: ${await reasonOf(call())}`).toBe(`${name}: ${HIDDEN}`);
    });
  }, 20_000);

  it("is not told the zone of what is hidden", async () => {
    const made = await world.operator.subnets.createSubnet({
      vpcId: (await owner.clients.subnets.getSubnet({ subnetId })).subnet?.vpcId ?? "",
      cidrBlock: "10.0.9.0/24",
      zoneId: ZONE,
    });
    const spec = { subnetId: made.subnet?.subnetId ?? "" };
    const { interface: hidden } = await owner.clients.interfaces.createInterface({ spec });
    await world.operator.topology.createZone({ zoneId: "zone-other", regionId: "region-1" });
    const run = (value: string) =>
      stranger.clients.instances.runInstance({ zoneId: "zone-other", interfaces: [{ source: { $case: "interfaceId", value } }] });
    expect(await reasonOf(run(hidden?.interfaceId ?? ""))).toBe(HIDDEN);
    expect(await reasonOf(run(`eni-${"0".repeat(32)}`))).toBe(HIDDEN);
  });
});
