import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { PrincipalServiceDefinition, PrincipalState } from "#gen/plenum/identity/v1/principal.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { newId } from "#lib/ids/ids.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCaller, TestCoordinator } from "./coordinator.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";

const operator: TestCaller = { role: "operator", principalId: "root" };
const network = { cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } };
let system: TestCoordinator;
beforeAll(async () => {
  system = await startTestCoordinator();
});
afterAll(() => system?.stop());

const principalsOf = (caller: TestCaller) => system.client(PrincipalServiceDefinition, caller);

describe("principals", () => {
  it("are made once, by the account's owner or an operator, and no stronger than their maker", async () => {
    const accountId = await system.account();
    const owner = await principalsOf({ role: "owner", accountId });
    const robot = { accountId, principalId: "robot", role: Role.VIEWER, description: "reads", requestId: "r" };
    const [first, second] = [await owner.createPrincipal(robot), await owner.createPrincipal(robot)];
    expect(first.principal).toMatchObject({ accountId, principalId: "robot", role: Role.VIEWER, state: PrincipalState.ACTIVE });
    expect(second).toEqual(first);
    expect(await reasonOf(owner.createPrincipal({ ...robot, requestId: "s" }))).toBe("ALREADY_EXISTS NAME_TAKEN");
    const root = await principalsOf(operator);
    expect((await root.createPrincipal({ accountId, principalId: "chief" })).principal?.role).toBe(Role.OWNER);
    expect((await root.createPrincipal({ principalId: "root2", role: Role.OPERATOR })).principal?.accountId).toBe("");
    expect(await reasonOf(owner.createPrincipal({ principalId: "x", role: Role.OPERATOR }))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    expect(await reasonOf(root.createPrincipal({ accountId: newId("acct"), principalId: "x" }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    for (const wrong of [{ principalId: "x" }, { accountId, principalId: "x", role: Role.OPERATOR }, { accountId, principalId: "" }]) {
      expect(await reasonOf(root.createPrincipal(wrong))).toBe("INVALID_ARGUMENT INVALID_FIELD");
    }
    const names = async (page: object) => (await owner.listPrincipals(page)).principals.map((one) => one.principalId);
    expect(await names({})).toEqual(["chief", "robot"]);
    const page = await owner.listPrincipals({ pageSize: 1 });
    expect(await names({ pageSize: 1, pageToken: page.nextPageToken })).toEqual(["robot"]);
    expect((await root.listPrincipals({ accountId })).principals).toHaveLength(2);
    expect((await owner.getPrincipal({ accountId, principalId: "robot" })).principal?.description).toBe("reads");
    expect(await reasonOf(owner.getPrincipal({ accountId, principalId: "nobody" }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });

  it("are not made with names that look like others'; one that there is from before can be withdrawn", async () => {
    const accountId = await system.account();
    const [root, tokens] = [await principalsOf(operator), await system.client(TokenServiceDefinition, operator)];
    for (const principalId of ["ali\u200bce", "\u202eecila", "alice "]) {
      for (const made of [root.createPrincipal({ accountId, principalId }), tokens.issueToken({ accountId, principalId })]) {
        const { status, violations } = await refusalOfCall(made);
        expect([status, violations[0]?.field]).toEqual(["INVALID_ARGUMENT", "principal_id"]);
      }
    }
    const description = "what it is for\nand who asked";
    expect((await root.createPrincipal({ accountId, principalId: "alice", description })).principal).toMatchObject({ description });
    const principalId = "ali\u200bce";
    await sql`
      INSERT INTO principal (account_id, principal_id, role, created_by) VALUES (${accountId}, ${principalId}, 'owner', 'root')`.execute(
      system.db.kysely,
    );
    expect((await root.getPrincipal({ accountId, principalId })).principal?.role).toBe(Role.OWNER);
    const disabled = await root.disablePrincipal({ accountId, principalId });
    expect(disabled.principal?.state).toBe(PrincipalState.DISABLED);
  });

  it("that are disabled are refused from the next call, with every token they have, and get no more", async () => {
    const accountId = await system.account();
    const root = await principalsOf(operator);
    const tokens = await system.client(TokenServiceDefinition, operator);
    await tokens.issueToken({ accountId, principalId: "mallory" });
    const mallory: TestCaller = { role: "owner", accountId, principalId: "mallory" };
    const [vpcs, who, other] = [
      await system.client(VpcServiceDefinition, mallory),
      await system.client(TokenServiceDefinition, { ...mallory, role: "viewer" }),
      await system.client(VpcServiceDefinition, { ...mallory, principalId: "bob" }),
    ];
    await vpcs.listVpcs({});
    const disabled = await root.disablePrincipal({ accountId, principalId: "mallory" });
    expect(disabled.principal?.state).toBe(PrincipalState.DISABLED);
    for (const call of [() => vpcs.listVpcs({}), () => vpcs.createVpc(network), () => who.whoAmI({})]) {
      expect(await refusalOfCall(call())).toMatchObject({
        status: "UNAUTHENTICATED",
        reason: "PRINCIPAL_DISABLED",
        facts: { principal_id: "mallory" },
      });
    }
    await other.listVpcs({});
    expect(await reasonOf(tokens.issueToken({ accountId, principalId: "mallory" }))).toBe("FAILED_PRECONDITION PRINCIPAL_DISABLED");
    expect((await root.disablePrincipal({ accountId, principalId: "mallory" })).principal).toEqual(disabled.principal);
    expect(await reasonOf(root.createPrincipal({ accountId, principalId: "mallory" }))).toBe("ALREADY_EXISTS NAME_TAKEN");
    const { entries } = await (await system.client(AuditServiceDefinition, operator)).listAuditEntries({ principalId: "mallory" });
    expect(entries).toMatchObject(Array.from({ length: 3 }, () => ({ reason: "principal disabled", accountId })));
  });

  it("are no more than their role, whatever their tokens say", async () => {
    const accountId = await system.account();
    const root = await principalsOf(operator);
    await root.createPrincipal({ accountId, principalId: "vic", role: Role.VIEWER });
    const vic: TestCaller = { role: "owner", accountId, principalId: "vic" };
    expect(await reasonOf((await system.client(VpcServiceDefinition, vic)).createVpc(network))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    expect((await (await system.client(TokenServiceDefinition, vic)).whoAmI({})).role).toBe(Role.VIEWER);
    const tokens = await system.client(TokenServiceDefinition, operator);
    expect(await reasonOf(tokens.issueToken({ accountId, principalId: "vic", role: Role.OWNER }))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    expect((await tokens.issueToken({ accountId, principalId: "vic", role: Role.VIEWER })).token).not.toBe("");
  });
});

describe("the audit", () => {
  it("says for whom: the caller's account, or the account in whose things an operator acted", async () => {
    const accountId = await system.account();
    const own = await system.client(VpcServiceDefinition, { role: "owner", accountId });
    const root = await system.client(VpcServiceDefinition, operator);
    await own.createVpc(network);
    await root.createVpc({ ...network, ownerAccount: accountId });
    await (await system.client(AccountServiceDefinition, operator)).listAccounts({});
    const { entries } = await (await system.client(AuditServiceDefinition, { role: "owner", accountId })).listAuditEntries({});
    expect(entries.map((entry) => [entry.principalId, entry.resourceKind, entry.onBehalfOf, entry.reason, entry.delegationId])).toEqual([
      ["root", "VPC", accountId, "operator", ""],
      ["alice", "VPC", accountId, "owner", ""],
      ["alice", "account", accountId, "operator", ""],
    ]);
  });
});
