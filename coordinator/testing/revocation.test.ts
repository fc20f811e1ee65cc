import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { AccountServiceDefinition, AccountState } from "#gen/plenum/identity/v1/account.ts";
import { PrincipalServiceDefinition, PrincipalState } from "#gen/plenum/identity/v1/principal.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { newId } from "#lib/ids/ids.ts";
import type { Caller } from "#lib/rpc/caller.ts";
import { accountRef } from "../identity/api.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCaller, TestCoordinator } from "./coordinator.ts";
import { lockAwaited } from "./locks.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";

const operator: TestCaller = { role: "operator", principalId: "root" };
const network = { cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } };
let system: TestCoordinator;
beforeAll(async () => {
  system = await startTestCoordinator();
});
afterAll(() => system?.stop());

const principalsOf = (caller: TestCaller) => system.client(PrincipalServiceDefinition, caller);

/** What a token is good for: a read and a write. */
const uses = (token: string) => {
  const vpcs = system.bearing(token).client(VpcServiceDefinition);
  return [() => vpcs.listVpcs({}), () => vpcs.createVpc(network)];
};

describe("a leaked token", () => {
  it("is withdrawn with all that were issued until then, and the next one counts", async () => {
    const accountId = await system.account();
    const root = await system.client(TokenServiceDefinition, operator);
    const issue = async () => (await root.issueToken({ accountId, principalId: "ann" })).token;
    const leaked = await issue();
    for (const use of uses(leaked)) await use();
    const { principal } = await (await principalsOf(operator)).revokeTokens({ accountId, principalId: "ann" });
    expect(principal).toMatchObject({ state: PrincipalState.ACTIVE, role: Role.OWNER });
    expect(principal?.tokensNotBefore).toBeInstanceOf(Date);
    // Issued within the same second as the revocation.
    const fresh = await issue();
    for (const use of uses(leaked)) {
      expect(await refusalOfCall(use())).toMatchObject({
        status: "UNAUTHENTICATED",
        reason: "TOKENS_REVOKED",
        facts: { principal_id: "ann" },
      });
    }
    for (const use of uses(fresh)) await use();
    const { entries } = await (await system.client(AuditServiceDefinition, operator)).listAuditEntries({ principalId: "ann" });
    expect(entries.filter((entry) => entry.reason === "tokens revoked")).toHaveLength(2);
  });

  it("of a principal that another account has too is not touched by it", async () => {
    const [a, b] = [await system.account(), await system.account()];
    const root = await system.client(TokenServiceDefinition, operator);
    for (const accountId of [a, b]) await root.issueToken({ accountId, principalId: "ann" });
    const { token } = await root.issueToken({ accountId: b, principalId: "ann" });
    const owner = await principalsOf({ role: "owner", accountId: a, principalId: "boss" });
    await owner.revokeTokens({ accountId: a, principalId: "ann" });
    for (const use of uses(token)) await use();
    expect(await reasonOf(owner.revokeTokens({ accountId: b, principalId: "ann" }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    expect(await reasonOf(owner.revokeTokens({ accountId: a, principalId: "nobody" }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });
});

describe("what a leaked owner's token issued", () => {
  it("goes with it where that is asked for: every name, and what those issued; what others issued stays", async () => {
    const accountId = await system.account();
    const root = await system.client(TokenServiceDefinition, operator);
    const issuer = (token: string) => system.bearing(token).client(TokenServiceDefinition);
    const issue = async (by: string, principalId: string) => (await issuer(by).issueToken({ accountId, principalId })).token;
    const leaked = (await root.issueToken({ accountId, principalId: "boss" })).token;
    const untouched = (await root.issueToken({ accountId, principalId: "robot" })).token;
    const eve = await issue(leaked, "eve");
    const mallory = await issue(eve, "mallory");
    const boss = await issue(leaked, "boss");
    const chief = (await root.issueToken({ accountId, principalId: "chief" })).token;
    // In the name of the very one that cleans up.
    const forged = await issue(mallory, "chief");
    const owner = system.bearing(chief).client(PrincipalServiceDefinition);
    const plain = await owner.revokeTokens({ accountId, principalId: "boss" });
    expect(plain.issued).toEqual([]);
    for (const use of [...uses(leaked), ...uses(boss)]) expect(await reasonOf(use())).toBe("UNAUTHENTICATED TOKENS_REVOKED");
    for (const use of [...uses(eve), ...uses(mallory)]) await use();
    const all = await owner.revokeTokens({ accountId, principalId: "boss", withIssued: true });
    expect(all.issued.map((one) => one.principalId)).toEqual(["chief", "eve", "mallory"]);
    for (const use of [eve, mallory, forged, chief].flatMap(uses)) expect(await reasonOf(use())).toBe("UNAUTHENTICATED TOKENS_REVOKED");
    for (const use of uses(untouched)) await use();
    const { entries } = await (
      await system.client(AuditServiceDefinition, operator)
    ).listAuditEntries({ action: "identity:RevokeTokens", resourceId: "mallory" });
    expect(entries).toMatchObject([{ principalId: "chief", details: { with_issued: "true" } }]);
    // Of another account nobody is reached, nor asked about.
    const stranger = await principalsOf({ role: "owner", accountId: await system.account() });
    expect(await reasonOf(stranger.revokeTokens({ accountId, principalId: "boss", withIssued: true }))).toBe(
      "NOT_FOUND RESOURCE_NOT_FOUND",
    );
  });

  it("does not grow while it is withdrawn", async () => {
    const accountId = await system.account();
    const root = await system.client(TokenServiceDefinition, operator);
    const { token: leaked } = await root.issueToken({ accountId, principalId: "boss" });
    const got: string[] = [];
    const ended = performance.now() + 10_000;
    const thieves = Array.from({ length: 6 }, async (_, thief) => {
      let by = leaked;
      for (let serial = 0; performance.now() < ended; serial += 1) {
        try {
          by = (
            await system
              .bearing(by)
              .client(TokenServiceDefinition)
              .issueToken({ accountId, principalId: `eve-${thief}-${serial}` })
          ).token;
          got.push(by);
        } catch (error) {
          return String(error);
        }
      }
      return "was never refused";
    });
    await vi.waitFor(() => expect(got.length).toBeGreaterThan(20), { timeout: 8_000 });
    await (await principalsOf(operator)).revokeTokens({ accountId, principalId: "boss", withIssued: true });
    for (const end of await Promise.all(thieves)) expect(end).toMatch(/were revoked/);
    for (const token of got) expect(await reasonOf(uses(token)[0]!())).toBe("UNAUTHENTICATED TOKENS_REVOKED");
  }, 30_000);
});

describe("a revocation", () => {
  /** One that looks at the caller and then waits: a write in the middle of which something is taken back. */
  async function during(caller: Caller, revoke: () => Promise<unknown>): Promise<string[]> {
    const order: string[] = [];
    const inside = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    onTestFinished(() => goOn.resolve());
    const write = system.calls
      .write({ caller, method: "/x" }, { action: "identity:CreatePrincipal" }, async (call) => {
        call.require("identity:CreatePrincipal", accountRef(caller.accountId));
        inside.resolve();
        await goOn.promise;
      })
      .then(() => order.push("write"));
    await inside.promise;
    const revoked = revoke().then(() => order.push("revoke"));
    await lockAwaited(system.db.kysely);
    goOn.resolve();
    await Promise.all([write, revoked]);
    return order;
  }

  it.each([
    ["of tokens", (accountId: string) => async () => (await principalsOf(operator)).revokeTokens({ accountId, principalId: "ann" })],
    [
      "of a principal",
      (accountId: string) => async () => (await principalsOf(operator)).disablePrincipal({ accountId, principalId: "ann" }),
    ],
    [
      "of an account's rights",
      (accountId: string) => async () => (await system.client(AccountServiceDefinition, operator)).suspendAccount({ accountId }),
    ],
  ])("%s waits for a write that got there first, and no write commits after it", async (_title, revocation) => {
    const accountId = await system.account();
    await (await principalsOf(operator)).createPrincipal({ accountId, principalId: "ann" });
    const caller: Caller = {
      kind: "account",
      principalId: "ann",
      accountId,
      roles: ["owner"],
      token: { issuedAt: new Date(), expiresAt: new Date(Date.now() + 60_000) },
    };
    const order = await during(caller, revocation(accountId));
    expect(order).toEqual(["write", "revoke"]);
    await expect(
      system.calls.write({ caller, method: "/x" }, { action: "identity:CreatePrincipal" }, () => Promise.resolve()),
    ).rejects.toThrow(/revoked|disabled|suspended/);
  });
});

it("a flood of writes with a token does not hold up its revocation", async () => {
  const accountId = await system.account();
  const root = await principalsOf(operator);
  await root.createPrincipal({ accountId, principalId: "ann" });
  const token = { issuedAt: new Date(), expiresAt: new Date(Date.now() + 60_000) };
  const caller: Caller = { kind: "account", principalId: "ann", accountId, roles: ["owner"], token };
  let running = 0;
  let written = 0;
  const ended = performance.now() + 12_000;
  // Each holds its rows for a while, and some always do: between them there is never a moment without.
  const writers = Array.from({ length: 10 }, async () => {
    while (performance.now() < ended) {
      const write = system.calls.write({ caller, method: "/x" }, { action: "identity:CreatePrincipal" }, async (call) => {
        call.require("identity:CreatePrincipal", accountRef(accountId));
        running += 1;
        await sql`SELECT pg_sleep(${0.05 + Math.random() / 20})`.execute(call.tx);
        running -= 1;
      });
      if (
        await write.then(
          () => false,
          () => true,
        )
      )
        return;
      written += 1;
    }
    throw new Error("was never refused");
  });
  await vi.waitFor(() => expect(running).toBeGreaterThan(5), { timeout: 8_000 });
  await root.revokeTokens({ accountId, principalId: "ann" });
  await Promise.all(writers);
  expect(written).toBeGreaterThan(0);
}, 30_000);

describe("a principal", () => {
  it("that is enabled again speaks again, with new tokens only", async () => {
    const accountId = await system.account();
    const root = await principalsOf(operator);
    const tokens = await system.client(TokenServiceDefinition, operator);
    const { token: old } = await tokens.issueToken({ accountId, principalId: "ann" });
    expect((await root.enablePrincipal({ accountId, principalId: "ann" })).principal?.tokensNotBefore).toBeUndefined();
    for (const use of uses(old)) await use();
    await root.disablePrincipal({ accountId, principalId: "ann" });
    const { principal } = await root.enablePrincipal({ accountId, principalId: "ann" });
    expect(principal).toMatchObject({ state: PrincipalState.ACTIVE, disableTime: undefined });
    for (const use of uses(old)) expect(await reasonOf(use())).toBe("UNAUTHENTICATED TOKENS_REVOKED");
    for (const use of uses((await tokens.issueToken({ accountId, principalId: "ann" })).token)) await use();
  });

  it("becomes what its mask names, and no more than whoever changes it", async () => {
    const accountId = await system.account();
    const owner = await principalsOf({ role: "owner", accountId, principalId: "boss" });
    await owner.createPrincipal({ accountId, principalId: "ann", role: Role.VIEWER, description: "reads" });
    const key = { accountId, principalId: "ann" };
    const change = (principal: object, updateMask: string[]) => owner.updatePrincipal({ principal: { ...key, ...principal }, updateMask });
    expect((await change({ description: "writes", role: Role.OWNER }, ["role"])).principal).toMatchObject({
      role: Role.OWNER,
      description: "reads",
    });
    expect((await change({ description: "writes" }, ["description"])).principal).toMatchObject({ role: Role.OWNER, description: "writes" });
    for (const [principal, mask] of [
      [{}, []],
      [{}, ["state"]],
      [{ role: Role.OPERATOR }, ["role"]],
      [{ description: "x".repeat(257) }, ["description"]],
    ] as const) {
      expect(await reasonOf(change(principal, [...mask]))).toBe("INVALID_ARGUMENT INVALID_FIELD");
    }
    const vic = await principalsOf({ role: "viewer", accountId, principalId: "ann" });
    expect(await reasonOf(vic.updatePrincipal({ principal: { ...key, role: Role.OWNER }, updateMask: ["role"] }))).toBe(
      "PERMISSION_DENIED NOT_ALLOWED",
    );
    expect(await reasonOf(owner.updatePrincipal({ principal: { accountId, principalId: "nobody" }, updateMask: ["description"] }))).toBe(
      "NOT_FOUND RESOURCE_NOT_FOUND",
    );
  });
});

describe("a suspended account", () => {
  it("is refused everything until it is resumed; operators see to its things meanwhile", async () => {
    const accountId = await system.account();
    const accounts = await system.client(AccountServiceDefinition, operator);
    const tokens = await system.client(TokenServiceDefinition, operator);
    const { token } = await tokens.issueToken({ accountId, principalId: "ann" });
    for (const use of uses(token)) await use();
    const suspended = await accounts.suspendAccount({ accountId });
    expect(suspended.account).toMatchObject({ state: AccountState.SUSPENDED });
    expect((await accounts.suspendAccount({ accountId })).account).toEqual(suspended.account);
    const who = system.bearing(token).client(TokenServiceDefinition);
    for (const use of [...uses(token), () => who.whoAmI({})]) {
      expect(await refusalOfCall(use())).toMatchObject({
        status: "PERMISSION_DENIED",
        reason: "ACCOUNT_SUSPENDED",
        facts: { account_id: accountId },
      });
    }
    const ofOperator = await system.client(VpcServiceDefinition, operator);
    expect((await ofOperator.listVpcs({ ownerAccount: accountId })).vpcs).toHaveLength(1);
    expect((await accounts.resumeAccount({ accountId })).account).toMatchObject({ state: AccountState.ACTIVE, suspendTime: undefined });
    for (const use of uses(token)) await use();
    expect(await reasonOf(accounts.suspendAccount({ accountId: newId("acct") }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    const own = await system.client(AccountServiceDefinition, { role: "owner", accountId });
    expect(await reasonOf(own.suspendAccount({ accountId }))).toBe("PERMISSION_DENIED NOT_ALLOWED");
  });
});
