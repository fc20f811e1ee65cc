import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { startTestCoordinator } from "./coordinator.ts";
import type { TestCaller, TestCoordinator } from "./coordinator.ts";
import { reasonOf } from "./refusal.ts";

const operator: TestCaller = { role: "operator", principalId: "root" };
const network = { cidrBlock: "10.0.0.0/16", firstSubnet: { cidrBlock: "10.0.0.0/24" } };
let system: TestCoordinator;
beforeAll(async () => {
  system = await startTestCoordinator();
});
afterAll(() => system?.stop());

const auditOf = (caller: TestCaller) => system.client(AuditServiceDefinition, caller);

describe("the audit's list", () => {
  it("is narrowed by time, action and the caller's account", async () => {
    const [a, b] = [await system.account(), await system.account()];
    const make = async (caller: TestCaller, ownerAccount: string) =>
      (await system.client(VpcServiceDefinition, caller)).createVpc({ ...network, ownerAccount });
    await make({ role: "owner", accountId: a }, a);
    await make({ role: "owner", accountId: b }, b);
    await make(operator, a);
    const root = await auditOf(operator);
    const list = async (filter: object) => (await root.listAuditEntries(filter)).entries;
    const all = await list({ action: "network:CreateVpc" });
    expect(all.map((entry) => entry.accountId)).toEqual(["", b, a]);
    expect((await list({ accountId: a })).map((entry) => entry.action)).toEqual(["network:CreateVpc"]);
    const time = all[1]?.time;
    expect((await list({ action: "network:CreateVpc", after: time })).length).toBeGreaterThanOrEqual(2);
    expect((await list({ action: "network:CreateVpc", after: time })).every((entry) => (entry.time ?? 0) >= (time ?? 0))).toBe(true);
    const earlier = await list({ action: "network:CreateVpc", before: time });
    expect(earlier.map((entry) => entry.entryId)).toContain(all[2]?.entryId);
    expect(earlier.every((entry) => (entry.time ?? 0) < (time ?? 0))).toBe(true);
    expect(await list({ action: "network:CreateVpc", before: new Date(0) })).toEqual([]);
    expect(await reasonOf(root.listAuditEntries({ after: new Date(2), before: new Date(1) }))).toBe("INVALID_ARGUMENT INVALID_FIELD");
    for (const wrong of [{ accountId: "x" }, { after: new Date(-1) }, { before: new Date(Date.UTC(10_000, 0)) }]) {
      expect(await reasonOf(root.listAuditEntries(wrong))).toBe("INVALID_ARGUMENT INVALID_FIELD");
    }
    const page = await root.listAuditEntries({ action: "network:CreateVpc", pageSize: 1 });
    expect(await reasonOf(root.listAuditEntries({ pageSize: 1, pageToken: page.nextPageToken }))).toBe("INVALID_ARGUMENT BAD_PAGE_TOKEN");
    expect((await list({ action: "network:CreateVpc", pageSize: 1, pageToken: page.nextPageToken }))[0]?.entryId).toBe(all[1]?.entryId);
  });

  it("says from where, under which request id, and what was asked for", async () => {
    const accountId = await system.account();
    const owner = { role: "owner", accountId, principalId: "boss" } as const;
    const principals = await system.client(PrincipalServiceDefinition, owner);
    await principals.createPrincipal({ accountId, principalId: "ann", requestId: "r-1" });
    await principals.updatePrincipal({ principal: { accountId, principalId: "ann", description: "x" }, updateMask: ["description"] });
    const { entries } = await (await auditOf(owner)).listAuditEntries({ resourceId: "ann" });
    expect(entries).toMatchObject([
      { action: "identity:UpdatePrincipal", requestId: "", details: { update_mask: "description" }, count: 1n },
      { action: "identity:CreatePrincipal", requestId: "r-1", details: { role: "owner" }, count: 1n },
    ]);
    for (const entry of entries) expect(entry.peer).toMatch(/127\.0\.0\.1:\d+$/);
  });

  it("does not say from where another account or an operator called", async () => {
    const accountId = await system.account();
    await (await system.client(VpcServiceDefinition, operator)).createVpc({ ...network, ownerAccount: accountId, requestId: "mine" });
    const filter = { action: "network:CreateVpc" };
    const [own] = (await (await auditOf({ role: "owner", accountId })).listAuditEntries(filter)).entries;
    const [whole] = (await (await auditOf(operator)).listAuditEntries(filter)).entries;
    expect(own).toMatchObject({ entryId: whole?.entryId, principalId: "root", peer: "", requestId: "" });
    expect(whole?.requestId).toBe("mine");
    expect(whole?.peer).not.toBe("");
  });
});
