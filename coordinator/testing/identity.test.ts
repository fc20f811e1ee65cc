import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditDecision, AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { OperationServiceDefinition, OperationState } from "#gen/plenum/operation/v1/operation.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { newId } from "#lib/ids/ids.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCaller, TestCoordinator } from "./coordinator.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";

const operator: TestCaller = { role: "operator", principalId: "root" };
let system: TestCoordinator;
beforeAll(async () => {
  system = await startTestCoordinator();
});
afterAll(() => system?.stop());

const duration = (seconds: number) => ({ seconds: BigInt(Math.floor(seconds)), nanos: Math.round((seconds % 1) * 1e9) });

describe("accounts", () => {
  it("are made by operators, once a request_id and once a name", async () => {
    const service = await system.client(AccountServiceDefinition, operator);
    const request = { requestId: "first", name: "umbrella", description: "a vendor" };
    const all = await Promise.all(Array.from({ length: 8 }, () => service.createAccount(request)));
    expect(new Set(all.map(({ account }) => account?.accountId)).size).toBe(1);
    expect(all[0]?.account).toMatchObject({ name: "umbrella", description: "a vendor" });
    const taken = await refusalOfCall(service.createAccount({ name: "umbrella" }));
    expect(taken).toMatchObject({ status: "ALREADY_EXISTS", reason: "NAME_TAKEN", facts: { name: "umbrella" } });
    expect(await reasonOf(service.createAccount({ ...request, name: "other" }))).toBe("ALREADY_EXISTS REQUEST_ID_REUSED");
    for (const name of ["", "Umbrella", "a_b", "x".repeat(64)]) {
      expect(await refusalOfCall(service.createAccount({ name }))).toMatchObject({
        reason: "INVALID_FIELD",
        violations: [{ field: "name" }],
      });
    }
  });

  it("see themselves, and no other", async () => {
    const [a, b] = [await system.account(), await system.account()];
    const own = await system.client(AccountServiceDefinition, { role: "viewer", accountId: a });
    expect((await own.getAccount({ accountId: a })).account?.accountId).toBe(a);
    const [hidden, absent] = [
      await refusalOfCall(own.getAccount({ accountId: b })),
      await refusalOfCall(own.getAccount({ accountId: newId("acct") })),
    ];
    expect(hidden).toMatchObject({ status: "NOT_FOUND", reason: "RESOURCE_NOT_FOUND", facts: { id: b } });
    expect(Object.keys(hidden.facts)).toEqual(Object.keys(absent.facts));
    expect((await own.listAccounts({})).accounts.map(({ accountId }) => accountId)).toEqual([a]);
    expect(await refusalOfCall(own.createAccount({ name: "mine" }))).toMatchObject({
      status: "PERMISSION_DENIED",
      facts: { action: "identity:CreateAccount" },
    });
    expect(await reasonOf(own.getAccount({ accountId: "x" }))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  });

  it("are listed in pages that together are the whole, in order", async () => {
    for (let index = 0; index < 5; index += 1) await system.account();
    const service = await system.client(AccountServiceDefinition, operator);
    const whole = (await service.listAccounts({ pageSize: 1_000 })).accounts.map(({ accountId }) => accountId);
    const paged: string[] = [];
    for (let pageToken = ""; ;) {
      const page = await service.listAccounts({ pageSize: 2, pageToken });
      paged.push(...page.accounts.map(({ accountId }) => accountId));
      if (page.nextPageToken === "") break;
      pageToken = page.nextPageToken;
    }
    expect(paged).toEqual(whole);
    expect(whole).toEqual(whole.toSorted());
    expect(await reasonOf(service.listAccounts({ pageToken: "forged" }))).toBe("INVALID_ARGUMENT BAD_PAGE_TOKEN");
    expect(await reasonOf(service.listAccounts({ pageSize: 1_001 }))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  });
});

describe("tokens", () => {
  it("say who the caller is", async () => {
    const a = await system.account();
    const service = await system.client(TokenServiceDefinition, { role: "viewer", accountId: a, principalId: "vic" });
    expect(await service.whoAmI({})).toEqual({ accountId: a, principalId: "vic", role: Role.VIEWER, instanceId: "" });
    const root = await system.client(TokenServiceDefinition, operator);
    expect(await root.whoAmI({})).toEqual({ accountId: "", principalId: "root", role: Role.OPERATOR, instanceId: "" });
  });

  it("are issued within the account, and the role never rises", async () => {
    const [a, b] = [await system.account(), await system.account()];
    const ofRole = (role: "owner" | "viewer") => system.client(TokenServiceDefinition, { role, accountId: a });
    const [owner, viewer, root] = [await ofRole("owner"), await ofRole("viewer"), await system.client(TokenServiceDefinition, operator)];
    const forA = { accountId: a, principalId: "robot" };
    const issued = await owner.issueToken({ ...forA, ttl: duration(120) });
    expect(issued.token.split(".")).toHaveLength(3);
    expect(Math.abs((issued.expireTime?.getTime() ?? 0) - Date.now() - 120_000)).toBeLessThan(10_000);
    expect((await root.issueToken({ principalId: "root2", role: Role.OPERATOR })).token).not.toBe("");
    expect((await root.issueToken({ ...forA, accountId: b })).token).not.toBe("");
    expect(await reasonOf(viewer.issueToken({ ...forA, principalId: "alice" }))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    expect(await reasonOf(owner.issueToken({ principalId: "p", role: Role.OPERATOR }))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    expect(await reasonOf(owner.issueToken({ ...forA, accountId: b }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    expect(await reasonOf(root.issueToken({ ...forA, accountId: newId("acct") }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });

  it.each([
    ["no principal", { principalId: "" }, "principal_id"],
    ["a long principal", { principalId: "x".repeat(129) }, "principal_id"],
    ["59 seconds", { ttl: duration(59) }, "ttl"],
    ["more than 90 days", { ttl: duration(90 * 86_400 + 1) }, "ttl"],
    ["an unknown role", { role: 9 as Role }, "role"],
    ["no account", { accountId: "" }, "account_id"],
    ["an operator's with an account", { role: Role.OPERATOR }, "account_id"],
  ])("are refused with %s", async (_title, wrong, field) => {
    const root = await system.client(TokenServiceDefinition, operator);
    const refusal = await refusalOfCall(root.issueToken({ accountId: newId("acct"), principalId: "p", ...wrong }));
    expect(refusal).toMatchObject({ status: "INVALID_ARGUMENT", violations: [{ field }] });
  });
});

describe("the audit", () => {
  it("shows an account what was done to it and what it did, and not what it probed", async () => {
    const [a, b] = [await system.account(), await system.account()];
    const vpcsOf = (accountId: string) => system.client(VpcServiceDefinition, { role: "owner", accountId, principalId: `of-${accountId}` });
    const auditOf = async (caller: TestCaller) =>
      (await (await system.client(AuditServiceDefinition, caller)).listAuditEntries({})).entries;
    const { vpc } = await (await vpcsOf(b)).createVpc({ cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } });
    expect(await reasonOf((await vpcsOf(a)).deleteVpc({ vpcId: vpc?.vpcId ?? "" }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    const [ofA, ofB] = [await auditOf({ role: "viewer", accountId: a }), await auditOf({ role: "owner", accountId: b })];
    expect(ofA.filter((entry) => entry.resourceId === vpc?.vpcId)).toEqual([]);
    expect(ofB.map((entry) => [entry.action, entry.resourceId, entry.decision, entry.accountId])).toEqual([
      ["network:DeleteVpc", vpc?.vpcId, AuditDecision.REFUSED, a],
      ["network:CreateVpc", vpc?.vpcId, AuditDecision.ALLOWED, b],
      ["identity:CreateAccount", b, AuditDecision.ALLOWED, ""],
    ]);
    const root = await system.client(AuditServiceDefinition, operator);
    const refused = await root.listAuditEntries({ resourceId: vpc?.vpcId ?? "", decision: AuditDecision.REFUSED });
    expect(refused.entries).toMatchObject([{ principalId: `of-${a}`, reason: "default deny" }]);
    expect(await reasonOf(root.listAuditEntries({ resourceId: "a\0b" }))).toBe("INVALID_ARGUMENT INVALID_FIELD");
    expect(await reasonOf(root.listAuditEntries({ decision: 7 as AuditDecision }))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  });

  it("gives a refused caller the entry's id", async () => {
    const a = await system.account();
    const viewer = await system.client(VpcServiceDefinition, { role: "viewer", accountId: a });
    const refusal = await refusalOfCall(viewer.createVpc({ cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } }));
    expect(refusal).toMatchObject({ status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" });
    const audit = await system.client(AuditServiceDefinition, { role: "viewer", accountId: a });
    const { entries } = await audit.listAuditEntries({ decision: AuditDecision.REFUSED });
    expect(entries.map((entry) => entry.entryId)).toEqual([refusal.facts["decision_id"]]);
  });
});

describe("operations", () => {
  const begin = async (ownerAccount: string, subjectId: string) =>
    (
      await system.calls.internal((call) =>
        system.identity.operations.createOperation(call, { kind: "RunInstance", subjectId, ownerAccount }),
      )
    ).result;
  const end = (subjectId: string, state: "SUCCEEDED" | "FAILED", message = "") =>
    system.calls.internal((call) => system.identity.operations.finishOperation(call, subjectId, ["RunInstance"], state, message));

  it("are waited for until they end, also when the wake-up is lost", async () => {
    const a = await system.account();
    const service = await system.client(OperationServiceDefinition, { role: "viewer", accountId: a });
    const subject = newId("i");
    const operationId = await begin(a, subject);
    expect((await service.getOperation({ operationId })).operation).toMatchObject({
      state: OperationState.RUNNING,
      endTime: undefined,
      kind: "RunInstance",
    });
    const waiting = service.waitOperation({ operationId, timeout: duration(20) });
    const [{ operation }] = await Promise.all([waiting, end(subject, "FAILED", "no host")]);
    expect(operation).toMatchObject({ operationId, state: OperationState.FAILED, message: "no host" });
    expect(operation?.endTime).toBeInstanceOf(Date);

    const silent = await begin(a, subject);
    const backstop = service.waitOperation({ operationId: silent, timeout: duration(20) });
    await sql`UPDATE operation SET state = 'SUCCEEDED', end_time = now() WHERE operation_id = ${silent}`.execute(system.db.kysely);
    expect((await backstop).operation?.state).toBe(OperationState.SUCCEEDED);
    expect((await end(subject, "SUCCEEDED")).result).toBe(0);
  });

  it("that do not end are answered as they are when the time is over", async () => {
    const a = await system.account();
    const service = await system.client(OperationServiceDefinition, { role: "owner", accountId: a });
    const operationId = await begin(a, newId("i"));
    expect((await service.waitOperation({ operationId, timeout: duration(0.2) })).operation?.state).toBe(OperationState.RUNNING);
    expect((await service.waitOperation({ operationId, timeout: duration(0) })).operation?.state).toBe(OperationState.RUNNING);
    expect(await reasonOf(service.waitOperation({ operationId, timeout: duration(61) }))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  });

  it("are an account's own, newest first", async () => {
    const [a, b] = [await system.account(), await system.account()];
    const ids = [await begin(a, newId("i")), await begin(a, newId("i")), await begin(a, newId("i"))];
    const [own, other] = [
      await system.client(OperationServiceDefinition, { role: "owner", accountId: a }),
      await system.client(OperationServiceDefinition, { role: "owner", accountId: b }),
    ];
    const first = await own.listOperations({ pageSize: 2 });
    const second = await own.listOperations({ pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.operations, ...second.operations].map((operation) => operation.operationId)).toEqual(ids.toReversed());
    expect(second.nextPageToken).toBe("");
    expect((await other.listOperations({})).operations).toEqual([]);
    for (const operationId of [ids[0] ?? "", newId("op")]) {
      expect(await reasonOf(other.getOperation({ operationId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
      expect(await reasonOf(other.waitOperation({ operationId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    }
  });
});

describe("zones", () => {
  it("are made by operators; a repeat is answered, another region is refused", async () => {
    const root = await system.client(TopologyServiceDefinition, operator);
    const a = await system.account();
    const owner = await system.client(TopologyServiceDefinition, { role: "owner", accountId: a });
    const zone = { zoneId: "north-1", regionId: "north" };
    const all = await Promise.all(Array.from({ length: 5 }, () => root.createZone(zone)));
    expect(all.map((answer) => answer.zone)).toEqual(Array.from({ length: 5 }, () => zone));
    await root.createZone({ zoneId: "south-1", regionId: "south" });
    expect(await refusalOfCall(root.createZone({ ...zone, regionId: "south" }))).toMatchObject({
      status: "ALREADY_EXISTS",
      reason: "NAME_TAKEN",
      facts: { region_id: "north" },
    });
    expect(await reasonOf(root.createZone({ ...zone, regionId: "never" }))).toBe("ALREADY_EXISTS NAME_TAKEN");
    expect(await reasonOf(owner.createZone(zone))).toBe("PERMISSION_DENIED NOT_ALLOWED");
    expect(await refusalOfCall(root.createZone({ zoneId: "A", regionId: "north" }))).toMatchObject({ violations: [{ field: "zone_id" }] });
    expect((await owner.listRegions({})).regions).toEqual([{ regionId: "north" }, { regionId: "south" }]);
    expect((await owner.listZones({ regionId: "south" })).zones).toEqual([{ zoneId: "south-1", regionId: "south" }]);
    const first = await owner.listZones({ pageSize: 1 });
    expect([first.zones.length, (await owner.listZones({ pageSize: 1, pageToken: first.nextPageToken })).zones[0]?.zoneId]).toEqual([
      1,
      "south-1",
    ]);
    expect(await reasonOf(owner.listZones({ pageSize: 1, regionId: "south", pageToken: first.nextPageToken }))).toBe(
      "INVALID_ARGUMENT BAD_PAGE_TOKEN",
    );
  });
});
