import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConsentServiceDefinition } from "#gen/plenum/consent/v1/consent.ts";
import type { DeepPartial, Interface, InterfaceAccess } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { Role } from "#lib/rpc/caller.ts";
import { lockAwaited } from "./locks.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// N10: access lists name accounts or principals, for a time, up to a number.

const wait = WaitFor.COMMITTED;
let world: World;
let owner: { accountId: string; clients: Clients };
let other: { accountId: string; clients: Clients };
let subnetId: string;
beforeAll(async () => {
  world = await startWorld();
  [owner, other] = [await world.account(), await world.account()];
  ({ subnetId } = await world.network(owner.clients));
});
afterAll(() => world?.stop());

const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds);
const HOUR = 3_600_000;
type Access = DeepPartial<InterfaceAccess>;
const record = async (access: Access): Promise<Interface> => {
  const { interface: made } = await owner.clients.interfaces.createInterface({ spec: { subnetId, access } });
  if (made === undefined) throw new Error("no interface in the answer");
  return made;
};
const setAccess = (interfaceId: string, access: Access) =>
  owner.clients.interfaces.updateInterface({ interface: { interfaceId, access }, updateMask: ["access"] });
const instanceOf = async (clients: Clients, accountId: string): Promise<string> => {
  const { subnetId: own } = accountId === owner.accountId ? { subnetId } : await world.network(clients);
  const made = await clients.instances.runInstance({
    stopped: true,
    interfaces: [{ source: { $case: "create", value: { subnetId: own } } }],
  });
  return made.instance?.instanceId ?? "";
};
const attach = (clients: Clients, interfaceId: string, instanceId: string, requestId = "") =>
  clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait, requestId });
const detach = (interfaceId: string) =>
  owner.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId }, wait });
const accessOf = async (clients: Clients, interfaceId: string): Promise<InterfaceAccess | undefined> =>
  (await clients.interfaces.getInterface({ interfaceId })).interface?.access;
const consentsOf = async (interfaceId: string) =>
  (await (await world.client(ConsentServiceDefinition)).listConsents({ resourceId: interfaceId })).consents;
/** Let a time of its entries be this far from now. */
const within = (column: "valid_from" | "valid_until", interfaceId: string, seconds: number) =>
  sql`UPDATE consent SET ${sql.ref(column)} = now() + ${seconds} * interval '1 second' WHERE resource_id = ${interfaceId} AND state = 'ACTIVE'`.execute(
    world.db.kysely,
  );

describe("an entry for a time", () => {
  it("allows from its beginning to its end, and says what is amiss before and after", async () => {
    const { interfaceId } = await record({
      attachers: [{ accountId: other.accountId, validFrom: inMs(HOUR), validUntil: inMs(2 * HOUR) }],
    });
    const instanceId = await instanceOf(other.clients, other.accountId);
    const early = await refusalOfCall(attach(other.clients, interfaceId, instanceId));
    expect(early).toMatchObject({ status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" });
    expect(early.message).toMatch(/cons-[0-9a-f]+ begins at 20.*wait until then/);
    expect(await reasonOf(other.clients.interfaces.getInterface({ interfaceId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    expect((await accessOf(owner.clients, interfaceId))?.attachers).toHaveLength(1);
    await within("valid_from", interfaceId, -1);
    expect((await attach(other.clients, interfaceId, instanceId)).attachment?.interfaceId).toBe(interfaceId);
    await detach(interfaceId);
    await within("valid_until", interfaceId, 0);
    const late = await refusalOfCall(attach(other.clients, interfaceId, instanceId));
    expect(late).toMatchObject({ status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" });
    expect(late.message).toMatch(/ended at 20.*ask its grantor for more time/);
    expect((await accessOf(owner.clients, interfaceId))?.attachers).toEqual([]);
    const stranger = await world.account();
    const theirs = await instanceOf(stranger.clients, stranger.accountId);
    expect(await reasonOf(attach(stranger.clients, interfaceId, theirs))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });

  it("binds inside the transaction: a call that began in time and waited beyond it does nothing", async () => {
    const { interfaceId } = await record({ attachers: [{ accountId: other.accountId, validUntil: inMs(HOUR) }] });
    const instanceId = await instanceOf(other.clients, other.accountId);
    const blocked = world.db.kysely.transaction().execute(async (tx) => {
      await sql`SELECT FROM interface WHERE interface_id = ${interfaceId} FOR UPDATE`.execute(tx);
      const attaching = attach(other.clients, interfaceId, instanceId);
      attaching.catch(() => undefined);
      await lockAwaited(world.db.kysely);
      // Later than the call's beginning, and over when it goes on.
      await sql`UPDATE consent SET valid_until = clock_timestamp() WHERE resource_id = ${interfaceId}`.execute(world.db.kysely);
      return { attaching };
    });
    const { attaching } = await blocked;
    expect(["PERMISSION_DENIED NOT_ALLOWED", "NOT_FOUND RESOURCE_NOT_FOUND"]).toContain(await reasonOf(attaching));
    expect((await owner.clients.interfaces.listAttachments({ interfaceId })).attachments).toEqual([]);
  });
});

describe("an entry for a number of attachments", () => {
  it("refuses the one above with the reason; repeats and failures do not count, more may be given", async () => {
    const { interfaceId } = await record({ attachers: [{ accountId: other.accountId, maxAttachments: 2 }] });
    const instanceId = await instanceOf(other.clients, other.accountId);
    expect(await reasonOf(attach(other.clients, interfaceId, `i-${"0".repeat(32)}`))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    await attach(other.clients, interfaceId, instanceId, "once");
    await attach(other.clients, interfaceId, instanceId, "once");
    await detach(interfaceId);
    await attach(other.clients, interfaceId, instanceId);
    await detach(interfaceId);
    const refused = await refusalOfCall(attach(other.clients, interfaceId, instanceId));
    const [consent] = await consentsOf(interfaceId);
    expect(refused).toMatchObject({
      status: "RESOURCE_EXHAUSTED",
      reason: "LIMIT_EXCEEDED",
      facts: { consent_id: consent?.consentId, counter: "attachments", limit: "2", used: "2" },
    });
    expect(consent?.limits).toEqual([{ counter: "attachments", maximum: 2n, used: 2n }]);
    // The owner's own attachments are nobody's count.
    await attach(owner.clients, interfaceId, await instanceOf(owner.clients, owner.accountId));
    await detach(interfaceId);
    const [entry] =
      (await setAccess(interfaceId, { attachers: [{ accountId: other.accountId, maxAttachments: 3 }] })).interface?.access?.attachers ?? [];
    expect(entry).toMatchObject({ consentId: consent?.consentId, maxAttachments: 3 });
    await attach(other.clients, interfaceId, instanceId);
    await detach(interfaceId);
    await setAccess(interfaceId, { attachers: [{ accountId: other.accountId, maxAttachments: 1 }] });
    expect(await reasonOf(attach(other.clients, interfaceId, instanceId))).toBe("RESOURCE_EXHAUSTED LIMIT_EXCEEDED");
    await setAccess(interfaceId, { attachers: [{ accountId: other.accountId }] });
    await attach(other.clients, interfaceId, instanceId);
    expect((await consentsOf(interfaceId))[0]).toMatchObject({ consentId: consent?.consentId, limits: [] });
  });
});

describe("an entry for a principal", () => {
  it("is that one's, and nobody else's of the account", async () => {
    const { interfaceId } = await record({ attachers: [{ accountId: other.accountId, principalId: "bob" }] });
    const instanceId = await instanceOf(other.clients, other.accountId);
    expect(await reasonOf(attach(other.clients, interfaceId, instanceId))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    const bob = await world.as({ role: "owner", accountId: other.accountId, principalId: "bob" });
    await attach(bob, interfaceId, instanceId);
    expect((await accessOf(bob, interfaceId))?.attachers).toMatchObject([{ accountId: other.accountId, principalId: "bob" }]);
    expect((await bob.interfaces.listInterfaces({})).interfaces.map((one) => one.interfaceId)).toContain(interfaceId);
    expect((await other.clients.interfaces.listInterfaces({})).interfaces.map((one) => one.interfaceId)).not.toContain(interfaceId);
  });

  it("and a principal's own, besides its account's: whichever has room counts", async () => {
    const entries = [
      { accountId: other.accountId, maxAttachments: 1 },
      { accountId: other.accountId, principalId: "bob", maxAttachments: 1 },
    ];
    const { interfaceId } = await record({ attachers: entries });
    const instanceId = await instanceOf(other.clients, other.accountId);
    const bob = await world.as({ role: "owner", accountId: other.accountId, principalId: "bob" });
    for (let time = 0; time < 2; time += 1) {
      await attach(bob, interfaceId, instanceId);
      await detach(interfaceId);
    }
    expect(await reasonOf(attach(bob, interfaceId, instanceId))).toBe("RESOURCE_EXHAUSTED LIMIT_EXCEEDED");
  });
});

describe("a member", () => {
  const NOT_ALLOWED = "PERMISSION_DENIED NOT_ALLOWED";
  const member = (accountId: string, principalId = "mem") => world.as({ role: "member", accountId, principalId });

  it("reads what its account owns, and does what a list names it for, there and nowhere else", async () => {
    const named = [{ accountId: owner.accountId, principalId: "mem" }];
    const { interfaceId } = await record({ attachers: named, detachers: named });
    const plain = await record({});
    const instanceId = await instanceOf(owner.clients, owner.accountId);
    const mem = await member(owner.accountId);
    expect((await mem.interfaces.getInterface({ interfaceId: plain.interfaceId })).interface?.interfaceId).toBe(plain.interfaceId);
    expect(await reasonOf(attach(mem, plain.interfaceId, instanceId))).toBe(NOT_ALLOWED);
    expect(await reasonOf(mem.interfaces.deleteInterface({ interfaceId }))).toBe(NOT_ALLOWED);
    expect(await reasonOf(mem.interfaces.createInterface({ spec: { subnetId } }))).toBe(NOT_ALLOWED);
    expect(await reasonOf(attach(await member(owner.accountId, "max"), interfaceId, instanceId))).toBe(NOT_ALLOWED);
    const first = await attach(mem, interfaceId, instanceId, "r");
    expect(await attach(mem, interfaceId, instanceId, "r")).toMatchObject({ attachment: { attachmentId: first.attachment?.attachmentId } });
    const target = { $case: "interfaceId", value: interfaceId } as const;
    expect(await reasonOf(mem.interfaces.detachInterface({ target, wait, force: true }))).toBe(NOT_ALLOWED);
    await mem.interfaces.detachInterface({ target, wait });
    expect((await owner.clients.interfaces.listAttachments({ interfaceId })).attachments).toEqual([]);
  });

  it("does not bring another account's record to its own account's instances, nor act by what its account was given", async () => {
    const instanceId = await instanceOf(other.clients, other.accountId);
    const mem = await member(other.accountId);
    const named = await record({ attachers: [{ accountId: other.accountId, principalId: "mem" }] });
    expect(await reasonOf(attach(mem, named.interfaceId, instanceId))).toBe(NOT_ALLOWED);
    const shared = await record({ attachers: [{ accountId: other.accountId }], modifiers: [{ accountId: other.accountId }] });
    expect(await reasonOf(attach(mem, shared.interfaceId, instanceId))).toBe(NOT_ALLOWED);
    const change = { interface: { interfaceId: shared.interfaceId, description: "x" }, updateMask: ["description"] };
    expect(await reasonOf(mem.interfaces.updateInterface(change))).toBe(NOT_ALLOWED);
    await other.clients.interfaces.updateInterface(change);
  });

  it("says anew what becomes of a record that it may attach, and does not have it deleted", async () => {
    const { interfaceId } = await record({ attachers: [{ accountId: owner.accountId, principalId: "mem" }] });
    const mem = await member(owner.accountId);
    const instanceId = await instanceOf(owner.clients, owner.accountId);
    const { attachment } = await attach(mem, interfaceId, instanceId);
    const update = (clients: Clients, deleteOnTerminate: boolean) =>
      clients.interfaces.updateAttachment({
        attachment: { attachmentId: attachment?.attachmentId ?? "", deleteOnTerminate },
        updateMask: ["delete_on_terminate"],
      });
    expect(await reasonOf(update(mem, true))).toBe(NOT_ALLOWED);
    await update(owner.clients, true);
    expect((await update(mem, false)).attachment?.deleteOnTerminate).toBe(false);
    expect(await reasonOf(update(await member(owner.accountId, "max"), false))).toBe(NOT_ALLOWED);
    const { interfaceId: plain } = await record({});
    const other = await attach(owner.clients, plain, instanceId);
    const attachmentId = other.attachment?.attachmentId ?? "";
    const denied = mem.interfaces.updateAttachment({ attachment: { attachmentId }, updateMask: ["delete_on_terminate"] });
    expect(await reasonOf(denied)).toBe(NOT_ALLOWED);
  });

  it("acts within the terms of its entry", async () => {
    const terms = { accountId: owner.accountId, principalId: "mem", maxAttachments: 1 };
    const { interfaceId } = await record({ attachers: [terms] });
    const mem = await member(owner.accountId);
    await attach(mem, interfaceId, await instanceOf(owner.clients, owner.accountId));
    await detach(interfaceId);
    expect(await reasonOf(attach(mem, interfaceId, await instanceOf(owner.clients, owner.accountId)))).toBe(
      "RESOURCE_EXHAUSTED LIMIT_EXCEEDED",
    );
  });
});

describe("a modifier", () => {
  it("sees whole lists from the beginning of its time, and a principal that is not named does not", async () => {
    const third = await world.account();
    const list = { accountId: other.accountId, principalId: "bob", validFrom: inMs(HOUR) };
    const { interfaceId } = await record({
      attachers: [{ accountId: third.accountId }, { accountId: other.accountId }],
      modifiers: [list],
    });
    const bob = await world.as({ role: "owner", accountId: other.accountId, principalId: "bob" });
    const attachersSeenBy = async (clients: Clients) =>
      (await accessOf(clients, interfaceId))?.attachers.map((one) => one.accountId).toSorted();
    expect(await attachersSeenBy(bob)).toEqual([other.accountId]);
    await within("valid_from", interfaceId, -1);
    expect(await attachersSeenBy(bob)).toEqual([third.accountId, other.accountId].toSorted());
    expect(await attachersSeenBy(other.clients)).toEqual([other.accountId]);
  });

  it("is whose own role could use it: whoever else of the account reads the account's own entries", async () => {
    const third = await world.account();
    const { interfaceId } = await record({
      attachers: [{ accountId: third.accountId }],
      modifiers: [{ accountId: other.accountId }, { accountId: other.accountId, principalId: "mem" }, { accountId: third.accountId }],
    });
    const seenBy = async (role: Role, principalId: string): Promise<[number | undefined, string[] | undefined]> => {
      const access = await accessOf(await world.as({ role, accountId: other.accountId, principalId }), interfaceId);
      return [access?.attachers.length, access?.modifiers.map((one) => one.principalId)];
    };
    expect(await seenBy("owner", "any")).toEqual([1, ["", "mem", ""]]);
    expect(await seenBy("member", "mem")).toEqual([1, ["", "mem", ""]]);
    expect(await seenBy("member", "max")).toEqual([0, [""]]);
    expect(await seenBy("viewer", "vic")).toEqual([0, [""]]);
    // A list that names a viewer gives it nothing to write.
    expect(await seenBy("viewer", "mem")).toEqual([0, ["", "mem"]]);
    // In the owner's own account everybody reads what the account owns.
    expect((await accessOf(await world.as({ role: "viewer", accountId: owner.accountId }), interfaceId))?.modifiers).toHaveLength(3);
  });
});

describe("giving up", () => {
  it("one's own entry by leaving it out of the lists, which then say nothing any more", async () => {
    const third = await world.account();
    const { interfaceId } = await record({
      attachers: [{ accountId: other.accountId }],
      modifiers: [{ accountId: other.accountId }, { accountId: third.accountId }],
    });
    const [attacher] = (await accessOf(owner.clients, interfaceId))?.attachers ?? [];
    const left = { attachers: [{ accountId: other.accountId }], modifiers: [{ accountId: third.accountId }] };
    const change = (access: Access, requestId = "") =>
      other.clients.interfaces.updateInterface({
        interface: { interfaceId, access, description: "mine" },
        updateMask: ["access", "description"],
        requestId,
      });
    // Still an attacher: the record stays its to see.
    expect((await change(left)).interface).toMatchObject({ description: "mine", access: { modifiers: [] } });
    expect((await accessOf(owner.clients, interfaceId))?.attachers).toMatchObject([{ consentId: attacher?.consentId }]);
    expect(await reasonOf(change(left))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    // The last entry goes: nothing is shown, and a repeat is a stranger's.
    await setAccess(interfaceId, { modifiers: [{ accountId: other.accountId }] });
    expect(await change({}, "once")).toEqual({ interface: undefined });
    expect(await accessOf(owner.clients, interfaceId)).toMatchObject({ attachers: [], modifiers: [] });
    expect(await reasonOf(change({}, "once"))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    expect(await reasonOf(other.clients.interfaces.getInterface({ interfaceId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });

  it.each(["attachers", "detachers", "addressSetters", "modifiers"] as const)("an entry of %s by its consent", async (list) => {
    const { interfaceId } = await record({ [list]: [{ accountId: other.accountId }, { accountId: owner.accountId, principalId: "mem" }] });
    const entries = (await accessOf(owner.clients, interfaceId))?.[list] ?? [];
    const as = async (role: Role, accountId: string, principalId: string) =>
      world.client(ConsentServiceDefinition, { role, accountId, principalId });
    const ofOther = entries.find((one) => one.principalId === "")?.consentId ?? "";
    const ofMem = entries.find((one) => one.principalId === "mem")?.consentId ?? "";
    expect(await reasonOf((await as("member", other.accountId, "mem")).revokeConsent({ consentId: ofOther }))).toBe(
      "PERMISSION_DENIED NOT_ALLOWED",
    );
    await (await as("owner", other.accountId, "any")).revokeConsent({ consentId: ofOther });
    expect(await reasonOf((await as("member", owner.accountId, "max")).revokeConsent({ consentId: ofMem }))).toBe(
      "PERMISSION_DENIED NOT_ALLOWED",
    );
    await (await as("member", owner.accountId, "mem")).revokeConsent({ consentId: ofMem });
    expect((await accessOf(owner.clients, interfaceId))?.[list]).toEqual([]);
  });
});

describe("a modifier for a time", () => {
  it("gives nothing that lasts longer, to itself or to others, and leaves what is there as it is", async () => {
    const third = await world.account();
    const until = inMs(HOUR);
    const lasting = { attachers: [{ accountId: third.accountId }] };
    const { interfaceId } = await record({ ...lasting, modifiers: [{ accountId: other.accountId, validUntil: until }] });
    const change = (access: Access) =>
      other.clients.interfaces.updateInterface({ interface: { interfaceId, access }, updateMask: ["access"] });
    const own = { accountId: other.accountId, validUntil: until };
    for (const access of [
      { ...lasting, modifiers: [{ accountId: other.accountId }] },
      { ...lasting, modifiers: [{ ...own, validUntil: inMs(2 * HOUR) }] },
      { ...lasting, modifiers: [own], detachers: [{ accountId: other.accountId }] },
      { attachers: [{ accountId: third.accountId, validUntil: inMs(2 * HOUR) }], modifiers: [own] },
    ]) {
      const refused = await refusalOfCall(change(access));
      expect(refused).toMatchObject({ status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" });
      expect(refused.message).toContain(`ends at ${until.toISOString()}`);
    }
    await change({ ...lasting, modifiers: [own], detachers: [{ accountId: third.accountId, validUntil: until }] });
    await change({ attachers: [], modifiers: [{ ...own, validUntil: inMs(HOUR / 2) }] });
    expect(await accessOf(owner.clients, interfaceId)).toMatchObject({ attachers: [], detachers: [] });
  });
});

describe("entries of the wrong form", () => {
  it.each([
    ["an end before the beginning", "attachers", [{ validFrom: inMs(HOUR), validUntil: inMs(0) }]],
    ["a number for others than attachers", "detachers", [{ maxAttachments: 1 }]],
    ["none at all", "attachers", [{ maxAttachments: 0 }]],
    ["one on two terms", "attachers", [{ maxAttachments: 1 }, { maxAttachments: 2 }]],
  ] as const)("%s", async (_title, list, grants) => {
    const named = grants.map((one) => ({ ...one, accountId: other.accountId }));
    expect(await reasonOf(record({ [list]: named }))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  });
});
