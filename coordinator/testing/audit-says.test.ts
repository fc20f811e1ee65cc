import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditDecision, AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { ConsentServiceDefinition } from "#gen/plenum/consent/v1/consent.ts";
import type { DeepPartial, InterfaceAccess } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { createHostRequest } from "#lib/auth/ca.ts";
import { derOf } from "#lib/auth/pem.ts";
import { newId } from "#lib/ids/ids.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { PlenumClient } from "#lib/rpc/client.ts";
import type { FakeHost } from "./fake-host.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// B8: who, on whose behalf, by which delegation, allowed or refused and why, on every path by which a call can be allowed or refused.

const wait = WaitFor.COMMITTED;
const ATTACH = "nivc:AttachInterface";
let world: World;
let audit: PlenumClient<typeof AuditServiceDefinition>;
let host: FakeHost;
let alice: { accountId: string; clients: Clients };
let bob: { accountId: string; clients: Clients };
/** Members: of alice's account and of bob's. */
let mem: Clients;
let max: Clients;
let vic: Clients;
let subnetId: string;
let bobsSubnet: string;
beforeAll(async () => {
  world = await startWorld();
  host = await world.host();
  [alice, bob] = [await world.account(), await world.account()];
  mem = await world.as({ role: "member", accountId: alice.accountId, principalId: "mem" });
  max = await world.as({ role: "member", accountId: bob.accountId, principalId: "max" });
  vic = await world.as({ role: "viewer", accountId: alice.accountId, principalId: "vic" });
  ({ subnetId } = await world.network(alice.clients));
  ({ subnetId: bobsSubnet } = await world.network(bob.clients));
  audit = await world.client(AuditServiceDefinition);
});
afterAll(() => world?.stop());

/** A record of alice's; `consentId` is that of its list's only entry. */
async function record(access: DeepPartial<InterfaceAccess> = {}): Promise<{ interfaceId: string; consentId: string }> {
  const { interface: made } = await alice.clients.interfaces.createInterface({ spec: { subnetId, access } });
  const entries = [made?.access?.attachers, made?.access?.detachers, made?.access?.addressSetters, made?.access?.modifiers].flat();
  return { interfaceId: made?.interfaceId ?? "", consentId: entries[0]?.consentId ?? "" };
}
async function instanceOf(clients: Clients): Promise<string> {
  const own = clients === alice.clients ? subnetId : bobsSubnet;
  const value = { subnetId: own };
  return (await clients.instances.runInstance({ stopped: true, interfaces: [{ source: { $case: "create", value } }] })).instance!
    .instanceId;
}
const attach = (clients: Clients, interfaceId: string, instanceId: string) =>
  clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait });
const detach = (clients: Clients, interfaceId: string) =>
  clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId }, wait });

/** One line of the audit: "principal@account for account by consent: ALLOWED why". Accounts and consents under names of the test's. */
type Line = string;
async function linesAbout(resourceId: string, action: string, names: Readonly<Record<string, string>>): Promise<Line[]> {
  const { entries } = await audit.listAuditEntries({ resourceId, action });
  const known = { ...names, "": "-", [alice.accountId]: "A", [bob.accountId]: "B", [host.hostId]: "host" } as Record<string, string>;
  const name = (id: string): string => known[id] ?? id;
  return entries.map(
    (one) =>
      `${name(one.principalId)}@${name(one.accountId)} for ${name(one.onBehalfOf)} by ${name(one.delegationId)}: ${one.decision === AuditDecision.ALLOWED ? "ALLOWED" : "REFUSED"} ${name(one.reason)}`,
  );
}

interface Path {
  readonly title: string;
  /** What is asked for; of the refused it is a refusal that the test wants. */
  readonly refused?: true;
  /** Who is named on the record's list of attachers; absent: nobody. */
  readonly attacher?: () => DeepPartial<InterfaceAccess>["attachers"];
  readonly who: () => Clients;
  readonly instanceOf: () => Clients;
  /** Between the making and the call. */
  readonly before?: (made: { interfaceId: string; consentId: string; instanceId: string }) => Promise<unknown>;
  readonly ofRecord: Line[];
  readonly ofInstance: Line[];
}

const [toBob, toMem] = [() => [{ accountId: bob.accountId }], () => [{ accountId: alice.accountId, principalId: "mem" }]];
const PATHS: readonly Path[] = [
  {
    title: "an owner, in its own right",
    attacher: toBob,
    who: () => alice.clients,
    instanceOf: () => alice.clients,
    ofRecord: ["alice@A for A by -: ALLOWED owner"],
    ofInstance: ["alice@A for A by -: ALLOWED owner"],
  },
  {
    title: "an operator",
    who: () => world.operator,
    instanceOf: () => bob.clients,
    ofRecord: ["alice@- for A by -: ALLOWED operator"],
    ofInstance: ["alice@- for B by -: ALLOWED operator"],
  },
  {
    title: "an account that a list names",
    attacher: toBob,
    who: () => bob.clients,
    instanceOf: () => bob.clients,
    ofRecord: ["alice@B for A by C: ALLOWED grantee-acts"],
    ofInstance: ["alice@B for B by -: ALLOWED owner"],
  },
  {
    title: "a member that its own account's list names, on record and instance",
    attacher: toMem,
    who: () => mem,
    instanceOf: () => alice.clients,
    ofRecord: ["mem@A for A by C: ALLOWED named-acts"],
    ofInstance: ["mem@A for A by C: ALLOWED named-acts"],
  },
  {
    title: "a member that nobody named",
    refused: true,
    who: () => mem,
    instanceOf: () => alice.clients,
    ofRecord: ["mem@A for A by -: REFUSED default deny"],
    ofInstance: [],
  },
  {
    title: "a member that another account's list names, with an instance of its own account",
    refused: true,
    attacher: () => [{ accountId: bob.accountId, principalId: "max" }],
    who: () => max,
    instanceOf: () => bob.clients,
    ofRecord: [],
    ofInstance: ["max@B for B by -: REFUSED members attach what their own account owns"],
  },
  {
    title: "a named member with an instance of another account",
    refused: true,
    attacher: toMem,
    who: () => mem,
    instanceOf: () => bob.clients,
    ofRecord: [],
    ofInstance: ["mem@A for A by -: REFUSED default deny"],
  },
  {
    title: "a viewer",
    refused: true,
    attacher: () => [{ accountId: alice.accountId, principalId: "vic" }],
    who: () => vic,
    instanceOf: () => alice.clients,
    ofRecord: ["vic@A for A by -: REFUSED viewers-only-read"],
    ofInstance: [],
  },
  {
    title: "a stranger, who is not told that there is anything",
    refused: true,
    who: () => bob.clients,
    instanceOf: () => bob.clients,
    ofRecord: ["alice@B for B by -: REFUSED default deny"],
    ofInstance: [],
  },
  {
    title: "a grantee whose consent is suspended",
    refused: true,
    attacher: toBob,
    who: () => bob.clients,
    instanceOf: () => bob.clients,
    before: async ({ consentId }) => (await world.client(ConsentServiceDefinition)).suspendConsent({ consentId }),
    ofRecord: ["alice@B for A by C: REFUSED C is suspended: ask its grantor"],
    ofInstance: [],
  },
  {
    title: "a grantee who has used what its consent allows",
    refused: true,
    attacher: () => [{ accountId: bob.accountId, maxAttachments: 1 }],
    who: () => bob.clients,
    instanceOf: () => bob.clients,
    before: async ({ consentId }) => sql`UPDATE consent_limit SET used = maximum WHERE consent_id = ${consentId}`.execute(world.db.kysely),
    ofRecord: ["alice@B for A by C: REFUSED LIMIT_EXCEEDED"],
    ofInstance: [],
  },
];

describe("an attach is in the audit of the record and of the instance", () => {
  it.each(PATHS)("by $title", async ({ attacher, who, instanceOf: owner, before, refused, ofRecord, ofInstance }) => {
    const made = { ...(await record({ attachers: attacher?.() })), instanceId: await instanceOf(owner()) };
    await before?.(made);
    const failure = await attach(who(), made.interfaceId, made.instanceId).then(
      () => undefined,
      (error: unknown) => callFailure(error)?.status ?? String(error),
    );
    if (refused === true) expect(failure).toMatch(/PERMISSION_DENIED|NOT_FOUND|RESOURCE_EXHAUSTED/);
    else expect(failure).toBeUndefined();
    const names = { [made.consentId]: "C", [`${made.consentId} is suspended: ask its grantor`]: "C is suspended: ask its grantor" };
    expect(await linesAbout(made.interfaceId, ATTACH, names)).toEqual(ofRecord);
    expect(await linesAbout(made.instanceId, ATTACH, names)).toEqual(ofInstance);
  });
});

describe("what belongs to another account is in that account's audit", () => {
  it("a record that comes with a new instance, and leaves when the instance does", async () => {
    const { interfaceId, consentId } = await record({ attachers: [{ accountId: bob.accountId }] });
    const value = interfaceId;
    const { instance } = await bob.clients.instances.runInstance({
      stopped: true,
      interfaces: [{ source: { $case: "interfaceId", value } }],
    });
    const { instanceId = "" } = instance ?? {};
    expect(await linesAbout(interfaceId, ATTACH, { [consentId]: "C" })).toEqual(["alice@B for A by C: ALLOWED grantee-acts"]);
    expect(await linesAbout(instanceId, "compute:RunInstance", {})).toEqual(["alice@B for B by -: ALLOWED owner"]);
    const [attachment] = (await alice.clients.interfaces.listAttachments({ interfaceId })).attachments;
    await bob.clients.instances.terminateInstance({ instanceId });
    expect(await linesAbout(attachment?.attachmentId ?? "", "nivc:DetachInterface", {})).toEqual([
      "alice@B for B by -: ALLOWED grantee-acts",
    ]);
    expect((await alice.clients.interfaces.listAttachments({ interfaceId })).attachments).toEqual([]);
  });

  it("a record that the instance's owner detaches, whatever it names", async () => {
    const { interfaceId } = await record({ attachers: [{ accountId: bob.accountId }] });
    const instanceId = await instanceOf(bob.clients);
    const { attachment } = await attach(bob.clients, interfaceId, instanceId);
    await bob.clients.interfaces.detachInterface({ target: { $case: "instanceId", value: instanceId }, wait });
    expect(await linesAbout(attachment?.attachmentId ?? "", "nivc:DetachInterface", {})).toEqual([
      "alice@B for B by -: ALLOWED grantee-acts",
    ]);
  });

  it("a record that a detacher detaches", async () => {
    const { interfaceId, consentId } = await record({ detachers: [{ accountId: bob.accountId }] });
    await attach(alice.clients, interfaceId, await instanceOf(alice.clients));
    await detach(bob.clients, interfaceId);
    expect(await linesAbout(interfaceId, "nivc:DetachInterface", { [consentId]: "C" })).toEqual([
      "alice@B for A by C: ALLOWED grantee-acts",
    ]);
  });
});

it("a host's joining, its sessions and its renewals are in the audit, and who invited it", async () => {
  const about = async (action: string) => (await audit.listAuditEntries({ resourceId: host.hostId, action })).entries;
  const [joined] = await about("host:Join");
  expect(joined).toMatchObject({ principalId: "", resourceKind: "host", reason: "join-token", details: { invited_by: "alice" } });
  expect(await linesAbout(host.hostId, "host:Connect", {})).toEqual(["host@- for - by -: ALLOWED own-certificate"]);
  expect((await about("host:Connect"))[0]?.peer).toMatch(/127\.0\.0\.1:\d+$/);
  const { csr } = await createHostRequest();
  await host.client.renewCertificate({ csr: derOf(csr) });
  expect(await linesAbout(host.hostId, "host:Renew", {})).toEqual(["host@- for - by -: ALLOWED own-certificate"]);
});

describe("what is not there", () => {
  it("leaves the trace that something hidden does, for operators alone", async () => {
    const { interfaceId: hidden } = await record();
    const none = newId("eni");
    const carol = await world.account();
    const { interfaces } = carol.clients;
    for (const interfaceId of [hidden, none]) {
      await expect(interfaces.getInterface({ interfaceId })).rejects.toThrow("or it is not yours to see");
      await expect(interfaces.deleteInterface({ interfaceId })).rejects.toThrow("or it is not yours to see");
    }
    const about = async (resourceId: string, by = audit) =>
      (await by.listAuditEntries({ resourceId, accountId: carol.accountId })).entries.map((one) => `${one.action} ${one.reason}`).sort();
    expect(await about(hidden)).toEqual(["nivc:DeleteInterface default deny", "nivc:GetInterface default deny"]);
    expect(await about(none)).toEqual(["nivc:DeleteInterface not there", "nivc:GetInterface not there"]);
    const own = await world.client(AuditServiceDefinition, { role: "owner", accountId: carol.accountId });
    expect([...(await about(hidden, own)), ...(await about(none, own))]).toEqual([]);
  });
});
