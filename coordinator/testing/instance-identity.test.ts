import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { AuditDecision, AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import type { RpcChannel } from "#lib/rpc/client.ts";
import type { FakeHost } from "./fake-host.ts";
import { lockAwaited } from "./locks.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";
import { startWorld, ZONE } from "./world.ts";
import type { Clients, TestNetwork, World } from "./world.ts";

// B8: calls of an instance that acts as a principal, by the tokens that its host gets for it.

const ENDED = "UNAUTHENTICATED INSTANCE_TOKEN_ENDED";
const DENIED = "PERMISSION_DENIED NOT_ALLOWED";
const HIDDEN = "NOT_FOUND RESOURCE_NOT_FOUND";

let world: World;
let host: FakeHost;
beforeAll(async () => {
  world = await startWorld();
  host = await world.host();
});
afterAll(() => world?.stop());

interface Tenant {
  readonly accountId: string;
  readonly clients: Clients;
  readonly network: TestNetwork;
}

/** An account with a principal of each role, named after it. */
async function tenant(): Promise<Tenant> {
  const { accountId, clients } = await world.account();
  const principals = await world.client(PrincipalServiceDefinition);
  for (const [principalId, role] of [
    ["owner", Role.OWNER],
    ["member", Role.MEMBER],
    ["viewer", Role.VIEWER],
  ] as const)
    await principals.createPrincipal({ accountId, principalId, role });
  return { accountId, clients, network: await world.network(clients) };
}

async function run({ clients, network }: Tenant, actsAs: string): Promise<string> {
  const interfaces = [{ source: { $case: "create" as const, value: { subnetId: network.subnetId } } }];
  const { instance, operation } = await clients.instances.runInstance({ interfaces, actsAs, zoneId: ZONE });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  expect(instance?.actsAs).toBe(actsAs);
  return instance?.instanceId ?? "";
}

const tokenOf = async (instanceId: string, of = host): Promise<string> => (await of.client.issueInstanceToken({ instanceId })).token;
const guest = async (instanceId: string): Promise<RpcChannel> => world.bearing(await tokenOf(instanceId));
const whoAmI = (channel: RpcChannel) => channel.client(TokenServiceDefinition).whoAmI({});
const reads = (channel: RpcChannel) => channel.client(InterfaceServiceDefinition).listInterfaces({});
const writes = (channel: RpcChannel, { network }: Tenant) =>
  channel.client(InterfaceServiceDefinition).createInterface({ spec: { subnetId: network.subnetId } });

async function stop({ clients }: Tenant, instanceId: string): Promise<void> {
  const { operation } = await clients.instances.stopInstance({ instanceId });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
}

describe("an instance that acts as a principal", () => {
  it("is told to its host, and does what that principal's role gives, no more", async () => {
    const one = await tenant();
    const instanceId = await run(one, "member");
    expect(host.instances.get(instanceId)?.actsAs).toBe("member");
    const channel = await guest(instanceId);
    expect(await whoAmI(channel)).toEqual({ accountId: one.accountId, principalId: "member", role: Role.MEMBER, instanceId });
    expect((await reads(channel)).interfaces).toHaveLength(1);
    expect(await reasonOf(writes(channel, one))).toBe(DENIED);
    const other = await guest(await run(one, "owner"));
    expect((await writes(other, one)).interface?.interfaceId).toMatch(/^eni-/);
  });

  it("is weaker from the moment on at which its principal is", async () => {
    const one = await tenant();
    const channel = await guest(await run(one, "owner"));
    await writes(channel, one);
    const principals = await world.client(PrincipalServiceDefinition);
    await principals.updatePrincipal({
      principal: { accountId: one.accountId, principalId: "owner", role: Role.VIEWER },
      updateMask: ["role"],
    });
    expect(await reasonOf(writes(channel, one))).toBe(DENIED);
  });

  it("passes nothing on: no token, no other instance that acts as anybody", async () => {
    const one = await tenant();
    const channel = await guest(await run(one, "owner"));
    const { accountId } = one;
    const issue = channel.client(TokenServiceDefinition);
    for (const principalId of ["owner", "viewer", "new"])
      expect(await reasonOf(issue.issueToken({ accountId, principalId, role: Role.VIEWER }))).toBe(DENIED);
    const client = channel.client(InstanceServiceDefinition);
    expect(await reasonOf(client.runInstance({ stopped: true, actsAs: "viewer" }))).toBe(DENIED);
    const { instance } = await client.runInstance({ stopped: true });
    const change = { instance: { instanceId: instance?.instanceId ?? "", actsAs: "viewer" }, updateMask: ["acts_as"] };
    expect(await reasonOf(client.updateInstance(change))).toBe(DENIED);
  });
});

describe("who it acts as", () => {
  it("is named by whoever may issue that principal's tokens, of the instance's own account", async () => {
    const [one, two] = [await tenant(), await tenant()];
    for (const principalId of ["nobody", "alice@elsewhere"])
      expect(await reasonOf(one.clients.instances.runInstance({ stopped: true, actsAs: principalId }))).toBe(HIDDEN);
    const member = await world.as({ role: "member", accountId: one.accountId, principalId: "member" });
    expect(await reasonOf(member.instances.runInstance({ stopped: true, actsAs: "member" }))).toBe(DENIED);
    const { instance } = await two.clients.instances.runInstance({ stopped: true });
    const change = { instance: { instanceId: instance?.instanceId ?? "", actsAs: "owner" }, updateMask: ["acts_as"] };
    expect(await reasonOf(one.clients.instances.updateInstance(change))).toBe(HIDDEN);
    expect((await two.clients.instances.updateInstance(change)).instance?.actsAs).toBe("owner");
    await (await world.client(PrincipalServiceDefinition)).disablePrincipal({ accountId: two.accountId, principalId: "viewer" });
    const disabled = { ...change, instance: { ...change.instance, actsAs: "viewer" } };
    expect(await reasonOf(two.clients.instances.updateInstance(disabled))).toBe("FAILED_PRECONDITION PRINCIPAL_DISABLED");
  });

  it("changes while it runs: the host hears of it, and tokens of before are worth nothing", async () => {
    const one = await tenant();
    const instanceId = await run(one, "owner");
    const before = await guest(instanceId);
    await reads(before);
    const to = async (actsAs: string) =>
      (await one.clients.instances.updateInstance({ instance: { instanceId, actsAs }, updateMask: ["acts_as"] })).instance;
    const generation = (await to("viewer"))?.generation;
    expect(await reasonOf(reads(before))).toBe(ENDED);
    await expect.poll(() => host.instances.get(instanceId)).toMatchObject({ actsAs: "viewer", generation });
    const after = await guest(instanceId);
    expect((await whoAmI(after)).principalId).toBe("viewer");
    // Back to the first, whose old token stays what it was.
    await to("owner");
    expect(await reasonOf(reads(before))).toBe(ENDED);
    expect((await to("owner"))?.generation).toBe((generation ?? 0n) + 1n);
    await to("");
    expect(await reasonOf(reads(after))).toBe(ENDED);
    expect(await reasonOf(tokenOf(instanceId))).toBe("FAILED_PRECONDITION NO_INSTANCE_IDENTITY");
  });
});

describe("a token", () => {
  it("is for the host that carries the instance, and for no other caller", async () => {
    const one = await tenant();
    const instanceId = await run(one, "viewer");
    const stranger = await world.host("zone-other");
    expect(await reasonOf(tokenOf(instanceId, stranger))).toBe(HIDDEN);
    expect(await reasonOf(tokenOf("i-0123456789abcdef0123456789abcdef"))).toBe(HIDDEN);
    expect(await reasonOf(tokenOf("x"))).toBe("INVALID_ARGUMENT INVALID_FIELD");
  });

  it("ends after five minutes", async () => {
    const instanceId = await run(await tenant(), "viewer");
    const { expireTime } = await host.client.issueInstanceToken({ instanceId });
    const left = (expireTime?.getTime() ?? 0) - Date.now();
    expect(left).toBeGreaterThan(280_000);
    expect(left).toBeLessThanOrEqual(300_000);
  });

  it("is not issued to what acts as nobody, nor to what does not run", async () => {
    const one = await tenant();
    expect(await reasonOf(tokenOf(await run(one, "")))).toBe("FAILED_PRECONDITION NO_INSTANCE_IDENTITY");
    const instanceId = await run(one, "viewer");
    host.behaviour.acknowledge = false;
    await one.clients.instances.stopInstance({ instanceId });
    expect(await reasonOf(tokenOf(instanceId))).toBe("FAILED_PRECONDITION WRONG_STATE");
    host.behaviour.acknowledge = true;
    host.acknowledge();
    await expect.poll(() => reasonOf(tokenOf(instanceId))).toBe(HIDDEN);
  });

  it("is not issued, and not taken, while its principal is disabled or its account suspended", async () => {
    const one = await tenant();
    const key = { accountId: one.accountId, principalId: "viewer" };
    const instanceId = await run(one, "viewer");
    const channel = await guest(instanceId);
    await reads(channel);
    const principals = await world.client(PrincipalServiceDefinition);
    await principals.disablePrincipal(key);
    expect(await reasonOf(reads(channel))).toBe("UNAUTHENTICATED PRINCIPAL_DISABLED");
    expect(await reasonOf(tokenOf(instanceId))).toBe("FAILED_PRECONDITION PRINCIPAL_DISABLED");
    await principals.enablePrincipal(key);
    expect(await reasonOf(reads(channel))).toBe("UNAUTHENTICATED TOKENS_REVOKED");
    const fresh = await guest(instanceId);
    await reads(fresh);
    const accounts = await world.client(AccountServiceDefinition);
    await accounts.suspendAccount({ accountId: one.accountId });
    expect(await reasonOf(reads(fresh))).toBe("PERMISSION_DENIED ACCOUNT_SUSPENDED");
    expect(await reasonOf(tokenOf(instanceId))).toBe("PERMISSION_DENIED ACCOUNT_SUSPENDED");
    await accounts.resumeAccount({ accountId: one.accountId });
    await reads(fresh);
  });

  it("ends with its instance's run, there and elsewhere, whatever comes after", async () => {
    const one = await tenant();
    const instanceId = await run(one, "owner");
    const first = await guest(instanceId);
    await writes(first, one);
    await stop(one, instanceId);
    for (const call of [() => reads(first), () => writes(first, one)]) {
      expect(await refusalOfCall(call())).toMatchObject({
        status: "UNAUTHENTICATED",
        reason: "INSTANCE_TOKEN_ENDED",
        facts: { instance_id: instanceId },
      });
    }
    // It comes back on another host: the first one's token does not count there, and it gets no other.
    await world.operator.hosts.updateHost({ host: { hostId: host.hostId, schedulable: false }, updateMask: ["schedulable"] });
    const second = await world.host();
    const { operation } = await one.clients.instances.startInstance({ instanceId });
    expect(await world.finished(one.clients, operation?.operationId)).toBe("SUCCEEDED");
    await world.operator.hosts.updateHost({ host: { hostId: host.hostId, schedulable: true }, updateMask: ["schedulable"] });
    expect(await reasonOf(reads(first))).toBe(ENDED);
    expect(await reasonOf(tokenOf(instanceId))).toBe(HIDDEN);
    const moved = world.bearing(await tokenOf(instanceId, second));
    await reads(moved);
    await one.clients.instances.terminateInstance({ instanceId });
    expect(await reasonOf(reads(moved))).toBe(ENDED);
    await second.close();
  });

  it("ends no later than the stop of its instance is committed: writes that got there first are waited for", async () => {
    const one = await tenant();
    const instanceId = await run(one, "owner");
    const token = await tokenOf(instanceId);
    // As if a write by the token were under way: it holds the instance's gate, not its row.
    const order: string[] = [];
    const goOn = Promise.withResolvers<void>();
    onTestFinished(() => goOn.resolve());
    const inside = Promise.withResolvers<void>();
    const write = world.db.kysely.transaction().execute(async (tx) => {
      const { rows } = await sql<{ acts: boolean }>`
        SELECT instance_acts(instance_id, host_id, generation, owner_account, acts_as, now(), true) AS acts FROM instance
        WHERE instance_id = ${instanceId}`.execute(tx);
      expect(rows).toEqual([{ acts: true }]);
      inside.resolve();
      await goOn.promise;
      order.push("write");
    });
    await inside.promise;
    const stopped = one.clients.instances.stopInstance({ instanceId }).then(() => order.push("stop"));
    await lockAwaited(world.db.kysely, { kind: "advisory" });
    // Whoever comes now waits behind the stop, and is refused after it.
    const late = reasonOf(writes(world.bearing(token), one));
    // The host's word about the instance needs only the row: it waits for nothing.
    host.acknowledge();
    goOn.resolve();
    await Promise.all([write, stopped]);
    expect(order).toEqual(["write", "stop"]);
    expect(await late).toBe(ENDED);
  });
});

it("the audit names the principal, the instance by which it acted, the host that vouches, and why", async () => {
  const one = await tenant();
  const instanceId = await run(one, "member");
  const channel = await guest(instanceId);
  await tokenOf(instanceId);
  await reads(channel);
  await reasonOf(writes(channel, one));
  const boss = await run(one, "owner");
  await writes(await guest(boss), one);
  await stop(one, instanceId);
  await reasonOf(reads(channel));
  const audit = world.bearing(await tokenOf(boss)).client(AuditServiceDefinition);
  const entries = async (filter: object) =>
    (await audit.listAuditEntries(filter)).entries.map((one) => [
      one.action,
      one.decision === AuditDecision.ALLOWED ? "allowed" : "refused",
      one.reason,
      one.viaInstanceId,
      one.viaHostId,
      one.onBehalfOf,
    ]);
  expect(await entries({ principalId: "member" })).toEqual([
    ["nivc:ListInterfaces", "refused", "instance token ended", instanceId, host.hostId, one.accountId],
    ["nivc:CreateInterface", "refused", "default deny", instanceId, host.hostId, one.accountId],
  ]);
  expect(await entries({ principalId: "owner" })).toEqual([["nivc:CreateInterface", "allowed", "owner", boss, host.hostId, one.accountId]]);
  // Who let it act as whom, and which host took it over: once a generation, not for each token.
  expect(await entries({ resourceId: instanceId, action: "host:IssueInstanceToken" })).toEqual([
    ["host:IssueInstanceToken", "allowed", "host-vouches", "", "", one.accountId],
  ]);
  const [named] = (await audit.listAuditEntries({ resourceId: "member" })).entries;
  expect(named).toMatchObject({ action: "compute:RunInstance", resourceKind: "principal", details: { acts_as: "member" } });
  // A host that asks for another's is in the operators' audit.
  const stranger = await world.host("zone-third");
  await reasonOf(tokenOf(boss, stranger));
  const operators = await world.client(AuditServiceDefinition);
  const { entries: tried } = await operators.listAuditEntries({ principalId: stranger.hostId, action: "host:IssueInstanceToken" });
  expect(tried).toMatchObject([
    { action: "host:IssueInstanceToken", decision: AuditDecision.REFUSED, resourceId: boss, reason: "default deny" },
  ]);
});
