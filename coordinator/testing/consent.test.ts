import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { ConsentServiceDefinition, ConsentState } from "#gen/plenum/consent/v1/consent.ts";
import type { Caller } from "#lib/rpc/caller.ts";
import { newId } from "#lib/ids/ids.ts";
import { COORDINATOR } from "../call/api.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import {
  consentsOf,
  countAgainst,
  createConsents,
  grantsFor,
  holdConsents,
  resourcesGrantedTo,
  revokeConsents,
  revokeConsentsOf,
  setGrantees,
} from "../consent/api.ts";
import type { NewConsent } from "../consent/api.ts";
import { lockAwaited } from "./locks.ts";
import { reasonOf } from "./refusal.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCoordinator } from "./coordinator.ts";

const ATTACH = "nivc:AttachInterface";
const DETACH = "nivc:DetachInterface";
let system: TestCoordinator;
let thing: ResourceRef;
beforeAll(async () => {
  system = await startTestCoordinator();
});
afterAll(() => system?.stop());
beforeEach(() => {
  thing = { kind: "interface", id: newId("eni"), ownerAccount: newId("acct") };
});

const within = async <Result>(fn: (call: WriteCall) => Promise<Result>): Promise<Result> =>
  (await system.calls.internal(fn, COORDINATOR)).result;
const forEver = { principalId: "", validFrom: null, validUntil: null, maximum: null };
const granted = (action: string, accounts: string[]) =>
  within((call) =>
    setGrantees(
      call,
      thing,
      { action },
      accounts.map((accountId) => ({ ...forEver, accountId })),
    ),
  );
const grants = async () =>
  ((await within((call) => grantsFor(call.tx, [thing.id]))).get(thing.id) ?? []).map(({ accountId, action }) => ({ accountId, action }));

describe("the list of one action", () => {
  it("becomes what was asked for; who stays keeps the consent", async () => {
    const first = await granted(ATTACH, ["acct-b", "acct-c"]);
    expect(first.map((one) => one.granteeAccount)).toEqual(["acct-b", "acct-c"]);
    expect(first[0]).toMatchObject({
      grantorAccount: thing.ownerAccount,
      actions: [ATTACH],
      resourceKind: "interface",
      resourceId: thing.id,
    });
    expect(first[0]?.consentId).toMatch(/^cons-[0-9a-f]{32}$/);
    const second = await granted(ATTACH, ["acct-d", "acct-c", "acct-d"]);
    expect(second.map((one) => one.granteeAccount)).toEqual(["acct-d", "acct-c"]);
    expect(second[1]?.consentId).toBe(first[1]?.consentId);
    await granted(DETACH, ["acct-b"]);
    expect(await grants()).toEqual([
      { accountId: "acct-c", action: ATTACH },
      { accountId: "acct-d", action: ATTACH },
      { accountId: "acct-b", action: DETACH },
    ]);
    expect(await granted(ATTACH, [])).toEqual([]);
    expect(await grants()).toEqual([{ accountId: "acct-b", action: DETACH }]);
    const { rows } = await sql<{ count: bigint }>`
      SELECT count(*) AS count FROM consent WHERE resource_id = ${thing.id} AND state = 'REVOKED' AND revoke_time IS NOT NULL`.execute(
      system.db.kysely,
    );
    expect(rows[0]?.count).toBe(3n);
  });
});

describe("a consent", () => {
  it("is one for an account, an action and a resource, however many give it at once", async () => {
    const attempts = Array.from({ length: 6 }, () =>
      within((call) => createConsents(call, [{ granteeAccount: "acct-b", actions: [ATTACH], resource: thing }])),
    );
    const outcomes = await Promise.allSettled(attempts);
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
    expect(await grants()).toHaveLength(1);
  });

  it("ends with the commit that takes it back, one or all of a resource, and can be given again", async () => {
    const [one] = await granted(ATTACH, ["acct-b"]);
    await within((call) => revokeConsents(call, one === undefined ? [] : [one]));
    expect(await grants()).toEqual([]);
    const [again] = await granted(ATTACH, ["acct-b"]);
    expect(again?.consentId).not.toBe(one?.consentId);
    await granted(DETACH, ["acct-b", "acct-c"]);
    await within((call) => revokeConsentsOf(call, [thing.id]));
    expect((await within((call) => consentsOf(call.tx, [thing.id]))).size).toBe(0);
  });

  it("shows the grantee what it may see, and no more", async () => {
    const grantee = newId("acct");
    await granted(ATTACH, [grantee]);
    await granted(DETACH, [grantee]);
    const seenBy = (accountId: string, kind: string) =>
      within((call) => resourcesGrantedTo(call.tx, { accountId, principalId: "alice" }, kind));
    expect(await seenBy(grantee, "interface")).toEqual([thing.id]);
    expect(await seenBy(grantee, "VPC")).toEqual([]);
    expect(await seenBy(newId("acct"), "interface")).toEqual([]);
  });

  it("lets the grantee's calls through while it stands, repeats included", async () => {
    const caller: Caller = { kind: "account", principalId: "bob", accountId: newId("acct"), roles: ["owner"] };
    const codec = { encode: (text: string) => Buffer.from(text), decode: (bytes: Uint8Array) => Buffer.from(bytes).toString() };
    const attach = (requestId: string) =>
      system.calls.write({ caller, method: "/x" }, { action: ATTACH, requestId, request: {}, ...codec }, async (call) => {
        call.require(ATTACH, { ...thing, grants: (await grantsFor(call.tx, [thing.id])).get(thing.id) ?? [] });
        return "done";
      });
    await granted(ATTACH, [caller.accountId]);
    expect((await attach("r")).repeated).toBe(false);
    expect((await attach("r")).repeated).toBe(true);
    await granted(ATTACH, []);
    for (const requestId of ["r", "s"]) await expect(attach(requestId)).rejects.toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
  });
});

describe("a consent's terms", () => {
  const give = (terms: Partial<NewConsent>) =>
    within(async (call) => (await createConsents(call, [{ granteeAccount: "acct-b", actions: [ATTACH], resource: thing, ...terms }]))[0]);
  const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds);

  it("bound it in time, by the database's clock", async () => {
    await give({ validFrom: inMs(3_600_000) });
    expect(await grants()).toEqual([]);
    await give({ actions: [DETACH], validFrom: inMs(-3_600_000), validUntil: inMs(3_600_000) });
    expect(await grants()).toEqual([{ accountId: "acct-b", action: DETACH }]);
    await give({ actions: ["nivc:SetAddresses"], validUntil: inMs(-1_000) });
    expect(await grants()).toHaveLength(1);
    await expect(give({ actions: ["x:Y"], validFrom: inMs(1_000), validUntil: inMs(0) })).rejects.toThrow("consent_validity");
    const [renewed] = await granted("nivc:SetAddresses", ["acct-b"]);
    expect(renewed?.validUntil).toBeNull();
  });

  it("bound it in number: many at once count exactly, and what is undone counts back", async () => {
    const consent = await give({ limits: { attachments: 3 } });
    const count = (amount: number) => within((call) => countAgainst(call.tx, [consent?.consentId ?? ""], "attachments", amount));
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => count(1)));
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(3);
    await expect(count(1)).rejects.toMatchObject({ reason: "LIMIT_EXCEEDED", facts: { limit: "3", used: "3" } });
    const undone = within(async (call) => {
      await countAgainst(call.tx, [consent?.consentId ?? ""], "attachments", -1);
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
    await expect(count(1)).rejects.toMatchObject({ reason: "LIMIT_EXCEEDED" });
    await count(-2);
    await count(2);
    await within((call) => countAgainst(call.tx, [consent?.consentId ?? ""], "unlimited", 1_000));
  });
});

describe("consents as calls", () => {
  const service = (accountId: string, role: "owner" | "viewer" = "owner") => system.client(ConsentServiceDefinition, { role, accountId });

  it("are suspended, resumed and revoked by their grantor, and renounced by their grantee", async () => {
    const [grantor, grantee] = [await system.account(), await system.account()];
    thing = { ...thing, ownerAccount: grantor };
    const consentId = (await granted(ATTACH, [grantee]))[0]?.consentId ?? "";
    const [own, theirs] = [await service(grantor), await service(grantee)];
    const shown = (await theirs.getConsent({ consentId })).consent;
    expect(shown).toMatchObject({
      grantorAccount: grantor,
      granteeAccount: grantee,
      actions: [ATTACH],
      state: ConsentState.ACTIVE,
      etag: "1",
    });
    const suspended = (await own.suspendConsent({ consentId, etag: "1" })).consent;
    expect(suspended).toMatchObject({ state: ConsentState.SUSPENDED, etag: "2" });
    expect(await grants()).toEqual([]);
    expect((await granted(ATTACH, [grantee]))[0]?.consentId).toBe(consentId);
    expect(await grants()).toEqual([]);
    expect(await reasonOf(own.resumeConsent({ consentId, etag: "1" }))).toBe("ABORTED STALE_ETAG");
    await own.resumeConsent({ consentId, etag: "2" });
    expect(await grants()).toEqual([{ accountId: grantee, action: ATTACH }]);
    expect(await reasonOf(theirs.suspendConsent({ consentId }))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    const revoked = (await theirs.revokeConsent({ consentId })).consent;
    expect(revoked?.revokeTime).toBeInstanceOf(Date);
    expect((await own.revokeConsent({ consentId })).consent).toEqual(revoked);
    expect(await reasonOf(own.resumeConsent({ consentId }))).toBe("FAILED_PRECONDITION WRONG_STATE");
    expect((await own.listConsents({ state: ConsentState.REVOKED })).consents.map((one) => one.consentId)).toEqual([consentId]);
    expect((await own.listConsents({ state: ConsentState.ACTIVE })).consents).toEqual([]);
    expect(await reasonOf((await service(await system.account())).getConsent({ consentId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });

  it("that are revoked while a call rests on them undo it; one that has committed was in time", async () => {
    const [grantor, granteeAccount] = [await system.account(), await system.account()];
    thing = { ...thing, ownerAccount: grantor };
    const consentId = (await granted(ATTACH, [granteeAccount]))[0]?.consentId ?? "";
    const own = await service(grantor);
    const caller: Caller = { kind: "account", principalId: "bob", accountId: granteeAccount, roles: ["owner"] };
    const attach = (meanwhile: () => Promise<unknown>) =>
      system.calls.write({ caller, method: "/x" }, { action: ATTACH }, async (call) => {
        call.require(ATTACH, { ...thing, grants: (await grantsFor(call.tx, [thing.id])).get(thing.id) ?? [] });
        await meanwhile();
        return "done";
      });
    expect((await attach(() => Promise.resolve())).result).toBe("done");
    await expect(attach(() => own.revokeConsent({ consentId }))).rejects.toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
  });

  it("held by a call are not taken back before it commits", async () => {
    const consentId = (await granted(ATTACH, ["acct-b"]))[0]?.consentId ?? "";
    const order: string[] = [];
    const release = Promise.withResolvers<void>();
    onTestFinished(() => release.resolve());
    const held = Promise.withResolvers<void>();
    const holding = within(async (call) => {
      expect(await holdConsents(call.tx, [consentId], [])).toEqual(new Set([consentId]));
      held.resolve();
      await release.promise;
      order.push("committed");
    });
    await held.promise;
    const revoking = within((call) => revokeConsents(call, [{ consentId, resourceId: thing.id }])).then(() => order.push("revoked"));
    await lockAwaited(system.db.kysely);
    release.resolve();
    await Promise.all([holding, revoking]);
    expect(order).toEqual(["committed", "revoked"]);
    expect(await within((call) => holdConsents(call.tx, [consentId], []))).toEqual(new Set());
  });
});
