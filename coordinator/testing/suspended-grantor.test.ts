import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ConsentServiceDefinition, ConsentState } from "#gen/plenum/consent/v1/consent.ts";
import type { DeepPartial, InterfaceAccess } from "#gen/plenum/nivc/v1/interface.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { holdOpen, lockAwaited } from "./locks.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";
import { Watcher } from "./watcher.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// C14, C15: what a suspended account gave lets nobody begin anything; what runs by it goes on.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

interface Lent {
  readonly grantor: string;
  readonly grantee: string;
  readonly lender: Clients;
  readonly clients: Clients;
  /** Attached to the grantee's instance. */
  readonly used: string;
  readonly free: string;
  readonly instanceId: string;
}

const suspend = (accountId: string) => world.operator.accounts.suspendAccount({ accountId });
const resume = (accountId: string) => world.operator.accounts.resumeAccount({ accountId });

/** Two records that another account may attach, one of which it has. */
async function lent(more: (grantee: string) => DeepPartial<InterfaceAccess> = () => ({})): Promise<Lent> {
  const [owner, other] = [await world.account(), await world.account()];
  const { subnetId } = await world.network(owner.clients);
  const access = { attachers: [{ accountId: other.accountId }], ...more(other.accountId) };
  const record = async () => {
    const { interface: made } = await owner.clients.interfaces.createInterface({ spec: { subnetId, access } });
    return made?.interfaceId ?? "";
  };
  const [used, free] = [await record(), await record()];
  const { instance } = await other.clients.instances.runInstance({ stopped: true });
  const { instanceId = "" } = instance ?? {};
  await other.clients.interfaces.attachInterface({ spec: { interfaceId: used, instanceId } });
  return { grantor: owner.accountId, grantee: other.accountId, lender: owner.clients, clients: other.clients, used, free, instanceId };
}

const attach = ({ clients, free: interfaceId, instanceId }: Lent, requestId = "") =>
  clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait: WaitFor.COMMITTED, requestId });
const listed = async ({ clients }: Lent) => (await clients.interfaces.listInterfaces({})).interfaces.map((one) => one.interfaceId).sort();

it("nobody attaches, sees or changes by it, and a repeat is decided again; who has it attached keeps it, and may end that", async () => {
  const at = await lent((accountId) => ({ modifiers: [{ accountId }], addressSetters: [{ accountId }] }));
  const { clients, used, free } = at;
  const watcher = new Watcher(clients);
  await watcher.until(() => watcher.inSync);
  expect([...watcher.records.keys()].sort()).toEqual([used, free].sort());
  await attach(at, "once");
  await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: free } });
  await suspend(at.grantor);
  const refusal = await refusalOfCall(attach(at));
  expect(refusal).toMatchObject({ status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" });
  expect(refusal.message).toContain(`while ${at.grantor}, which gave it, is suspended`);
  expect((await refusalOfCall(attach(at, "once"))).status).toMatch(/PERMISSION_DENIED|NOT_FOUND/);
  const hidden = "NOT_FOUND RESOURCE_NOT_FOUND";
  for (const interfaceId of [used, free]) {
    expect(await reasonOf(clients.interfaces.getInterface({ interfaceId }))).toBe(hidden);
    expect(await reasonOf(clients.interfaces.setAddresses({ interfaceId }))).toBe(hidden);
    const update = { interface: { interfaceId, description: "mine" }, updateMask: ["description"] };
    expect(await reasonOf(clients.interfaces.updateInterface(update))).toBe(hidden);
  }
  expect(await listed(at)).toEqual([]);
  await watcher.until(() => watcher.records.size === 0, 2_000);
  // The consents themselves are as they were, for both to read; what is given up is given up.
  const consents = (await world.client(ConsentServiceDefinition, { role: "owner", accountId: at.grantee })) satisfies object;
  const given = (await consents.listConsents({ resourceId: free })).consents;
  expect(given.map(({ state }) => state)).toEqual([ConsentState.ACTIVE, ConsentState.ACTIVE, ConsentState.ACTIVE]);
  const { attachments } = await clients.interfaces.listAttachments({ instanceId: at.instanceId });
  expect(attachments).toMatchObject([{ interfaceId: used, state: AttachmentState.ATTACHING }]);

  await resume(at.grantor);
  await watcher.until(() => watcher.records.size === 2, 2_000);
  expect(await listed(at)).toEqual([used, free].sort());
  await attach(at);
  await suspend(at.grantor);
  const ended = await clients.interfaces.detachInterface({ target: { $case: "instanceId", value: at.instanceId } });
  expect(ended.attachments.map(({ state }) => state)).toEqual([AttachmentState.DETACHED, AttachmentState.DETACHED]);
  await watcher.close();
});

it("what was given to a suspended account lets nobody do anything; its grantor takes it back", async () => {
  const at = await lent();
  await suspend(at.grantee);
  expect(await reasonOf(attach(at))).toBe("PERMISSION_DENIED ACCOUNT_SUSPENDED");
  expect(await reasonOf(listed(at))).toBe("PERMISSION_DENIED ACCOUNT_SUSPENDED");
  const consents = await world.client(ConsentServiceDefinition, { role: "owner", accountId: at.grantor });
  const [given] = (await consents.listConsents({ resourceId: at.free })).consents;
  expect((await consents.revokeConsent({ consentId: given?.consentId })).consent?.state).toBe(ConsentState.REVOKED);
});

it.each<[string, (at: Lent) => Promise<unknown>]>([
  ["an attach", (at) => attach(at)],
  [
    "a modifier that leaves its own entry out",
    ({ clients, free }) => clients.interfaces.updateInterface({ interface: { interfaceId: free, access: {} }, updateMask: ["access"] }),
  ],
])("a write that rests on it and got there first is waited for, and none commits after: %s", async (_title, write) => {
  const at = await lent((accountId) => ({ modifiers: [{ accountId }] }));
  // Whoever writes the watched scopes of the grantor waits at its last statement.
  const scopes = await holdOpen(world.db.kysely, (tx) =>
    sql`SELECT FROM scope WHERE scope LIKE ${`watch:${at.grantor}/%`} FOR UPDATE`.execute(tx),
  );
  const writing = write(at);
  await lockAwaited(world.db.kysely);
  const suspending = suspend(at.grantor);
  await lockAwaited(world.db.kysely, { kind: "advisory" }); // the gate that the write has passed
  await scopes.release();
  await Promise.all([writing, suspending]);
  expect(await reasonOf(write(at))).toMatch(/^(PERMISSION_DENIED|NOT_FOUND) /);
});
