import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Caller } from "#lib/rpc/caller.ts";
import { newId } from "#lib/ids/ids.ts";
import type { ResourceRef, WriteCall } from "../call/api.ts";
import {
  consentsOf,
  createConsents,
  grantsFor,
  resourcesGrantedTo,
  revokeConsents,
  revokeConsentsOf,
  setGrantees,
} from "../consent/api.ts";
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

const within = async <Result>(fn: (call: WriteCall) => Promise<Result>): Promise<Result> => (await system.calls.internal(fn)).result;
const granted = (action: string, accounts: string[]) => within((call) => setGrantees(call, thing, action, accounts));
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
    await within((call) => revokeConsents(call.tx, [one?.consentId ?? ""]));
    expect(await grants()).toEqual([]);
    const [again] = await granted(ATTACH, ["acct-b"]);
    expect(again?.consentId).not.toBe(one?.consentId);
    await granted(DETACH, ["acct-b", "acct-c"]);
    await within((call) => revokeConsentsOf(call.tx, [thing.id]));
    expect((await within((call) => consentsOf(call.tx, [thing.id]))).size).toBe(0);
  });

  it("shows the grantee what it may see, and no more", async () => {
    const grantee = newId("acct");
    await granted(ATTACH, [grantee]);
    await granted(DETACH, [grantee]);
    expect(await within((call) => resourcesGrantedTo(call.tx, grantee, "interface"))).toEqual([thing.id]);
    expect(await within((call) => resourcesGrantedTo(call.tx, grantee, "VPC"))).toEqual([]);
    expect(await within((call) => resourcesGrantedTo(call.tx, newId("acct"), "interface"))).toEqual([]);
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
