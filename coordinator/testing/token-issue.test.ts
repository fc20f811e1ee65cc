import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCaller, TestCoordinator } from "./coordinator.ts";
import { reasonOf } from "./refusal.ts";

const DENIED = "PERMISSION_DENIED NOT_ALLOWED";
const operator: TestCaller = { role: "operator", principalId: "root" };
let system: TestCoordinator;
beforeAll(async () => {
  system = await startTestCoordinator();
});
afterAll(() => system?.stop());

const tokensOf = (caller: TestCaller) => system.client(TokenServiceDefinition, caller);
const principalsIn = async (accountId: string) => {
  const { rows } = await sql<{ principal_id: string; role: string }>`
    SELECT principal_id, role FROM principal WHERE account_id = ${accountId} ORDER BY principal_id`.execute(system.db.kysely);
  return rows.map((row) => `${row.principal_id} ${row.role}`);
};

describe.each([
  ["viewer", Role.VIEWER],
  ["member", Role.MEMBER],
] as const)("a %s", (role, number) => {
  it("issues in no name but its own, and leaves no row of the names it tried", async () => {
    const accountId = await system.account();
    const vic = await tokensOf({ role, accountId, principalId: "vic" });
    for (const principalId of ["boss", "new-1", "new-2"]) {
      expect(await reasonOf(vic.issueToken({ accountId, principalId, role: number }))).toBe(DENIED);
    }
    expect(await principalsIn(accountId)).toEqual([]);
    expect((await vic.issueToken({ accountId, principalId: "vic", role: number })).token).not.toBe("");
    expect(await reasonOf(vic.issueToken({ accountId, principalId: "vic", role: Role.OWNER }))).toBe(DENIED);
    expect(await principalsIn(accountId)).toEqual([`vic ${role}`]);
  });

  it("issues nothing that outlives the token it shows", async () => {
    const accountId = await system.account();
    const owner = await tokensOf({ role: "owner", accountId, principalId: "boss" });
    const lent = await owner.issueToken({ accountId, principalId: "vic", role: number, ttl: { seconds: 120n, nanos: 0 } });
    const vic = system.bearing(lent.token).client(TokenServiceDefinition);
    for (const ttl of [undefined, { seconds: 90n * 86_400n, nanos: 0 }, { seconds: 119n, nanos: 0 }]) {
      const made = await vic.issueToken({ accountId, principalId: "vic", role: number, ttl });
      expect(made.expireTime?.getTime()).toBeLessThanOrEqual(lent.expireTime?.getTime() ?? 0);
      expect((lent.expireTime?.getTime() ?? 0) - (made.expireTime?.getTime() ?? 0)).toBeLessThan(30_000);
    }
  });
});

describe("a new name", () => {
  it("becomes a principal of the role asked for, and stays at that", async () => {
    const accountId = await system.account();
    const boss = await tokensOf({ role: "owner", accountId, principalId: "boss" });
    await boss.issueToken({ accountId, principalId: "reader", role: Role.VIEWER });
    await boss.issueToken({ accountId, principalId: "writer" });
    expect(await principalsIn(accountId)).toEqual(["reader viewer", "writer owner"]);
    expect(await reasonOf(boss.issueToken({ accountId, principalId: "reader", role: Role.OWNER }))).toBe(DENIED);
  });

  it("that asks for less for itself is not less from then on", async () => {
    const accountId = await system.account();
    const boss = await tokensOf({ role: "owner", accountId, principalId: "boss" });
    await boss.issueToken({ accountId, principalId: "boss", role: Role.VIEWER });
    expect(await principalsIn(accountId)).toEqual(["boss owner"]);
    await (
      await system.client(PrincipalServiceDefinition, { role: "owner", accountId, principalId: "boss" })
    ).createPrincipal({
      accountId,
      principalId: "other",
    });
  });
});

it("the audit names the principal for whom a token was issued, and for whom it was refused", async () => {
  const accountId = await system.account();
  const root = await tokensOf(operator);
  await root.issueToken({ accountId, principalId: "ann" });
  await root.issueToken({ principalId: "root2", role: Role.OPERATOR });
  const [issued] = (await (await system.client(AuditServiceDefinition, operator)).listAuditEntries({ resourceId: "ann" })).entries;
  expect(issued?.details).toEqual({ role: "owner", ttl_s: "86400" });
  const vic = await tokensOf({ role: "viewer", accountId, principalId: "vic" });
  await reasonOf(vic.issueToken({ accountId, principalId: "ann", role: Role.VIEWER }));
  const audit = await system.client(AuditServiceDefinition, operator);
  const about = async (resourceId: string) =>
    (await audit.listAuditEntries({ resourceId })).entries.map((one) => [
      one.resourceKind,
      one.resourceAccount,
      one.principalId,
      one.reason,
    ]);
  expect(await about("ann")).toEqual([
    ["principal", accountId, "vic", "viewers-only-read"],
    ["principal", accountId, "root", "operator"],
  ]);
  expect(await about("root2")).toEqual([["principal", "", "root", "operator"]]);
});
