import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { AttachmentState, InterfaceState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Interface } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { catchUp, detach, scene, seconds } from "./force-scene.ts";
import { holdOpen, lockAwaited } from "./locks.ts";
import { reasonOf } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// C8: calls that began before a host was barred, and what was issued then. Nothing lands on the host after BarHost has answered.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const bar = (hostId: string) => world.operator.hosts.barHost({ hostId, reason: "its key was copied" });

/** Hold whatever writes this scope just before its commit, until `release`. */
const holdScope = (scope: string) =>
  holdOpen(world.db.kysely, (tx) => sql`SELECT FROM scope WHERE scope = ${scope} FOR UPDATE`.execute(tx));

describe("a call that began before its host was barred", () => {
  const calls: [string, (at: Awaited<ReturnType<typeof scene>>, record: string) => Promise<unknown>][] = [
    [
      "RunInstance",
      ({ clients, zoneId }, record) =>
        clients.instances.runInstance({ zoneId, interfaces: [{ source: { $case: "interfaceId", value: record } }] }),
    ],
    [
      "AttachInterface",
      ({ clients, instanceId }, record) =>
        clients.interfaces.attachInterface({ spec: { interfaceId: record, instanceId }, wait: WaitFor.COMMITTED }),
    ],
    [
      "StartInstance",
      async ({ clients, zoneId }, record) => {
        const interfaces = [{ source: { $case: "interfaceId" as const, value: record } }];
        const { instance } = await clients.instances.runInstance({ zoneId, stopped: true, interfaces });
        return clients.instances.startInstance({ instanceId: instance?.instanceId });
      },
    ],
  ];

  it.each(calls)("is waited for: %s", async (_title, call) => {
    const at = await scene(world);
    const { interface: record } = await at.clients.interfaces.createInterface({ spec: { subnetId: at.subnetId } });
    const scope = await holdScope(`host:${at.lost.hostId}`);
    const landing = call(at, record?.interfaceId ?? "");
    await lockAwaited(world.db.kysely);
    const barring = bar(at.lost.hostId);
    await lockAwaited(world.db.kysely, { kind: "advisory" }); // what the placing one holds
    await scope.release();
    await Promise.all([landing, barring]);
  });

  it.each(calls)("and has got as far as where it would place: %s is refused", async (_title, call) => {
    const at = await scene(world);
    const { interface: record } = await at.clients.interfaces.createInterface({ spec: { subnetId: at.subnetId } });
    // As BarHost is, at its end.
    const barring = await holdOpen(world.db.kysely, async (tx) => {
      await sql`SELECT pg_advisory_xact_lock(110, hashtext(${at.lost.hostId}))`.execute(tx);
      await sql`UPDATE host SET bar_time = now() WHERE host_id = ${at.lost.hostId}`.execute(tx);
    });
    const refused = reasonOf(call(at, record?.interfaceId ?? ""));
    await lockAwaited(world.db.kysely, { kind: "advisory" });
    await barring.release();
    expect(await refused).toMatch(/^FAILED_PRECONDITION (NO_HOST|WRONG_STATE)$/);
    const { instances } = await world.operator.instances.listInstances({ hostId: at.lost.hostId });
    expect(instances.map(({ instanceId }) => instanceId)).toEqual([at.instanceId]);
  });
});

describe("a token that was issued for an instance before its host was barred", () => {
  it("counts no more when the host is barred no more; one that is issued then does", async () => {
    const zoneId = "unbarred";
    const host = await world.host(zoneId);
    const { accountId, clients } = await world.account();
    await (await world.client(PrincipalServiceDefinition)).createPrincipal({ accountId, principalId: "owner", role: Role.OWNER });
    const { subnetId } = await world.network(clients);
    const interfaces = [{ source: { $case: "create" as const, value: { subnetId } } }];
    const { instance, operation } = await clients.instances.runInstance({ actsAs: "owner", zoneId, interfaces });
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    const issue = async () => (await host.client.issueInstanceToken({ instanceId: instance?.instanceId })).token;
    const whoAmI = (token: string) => world.bearing(token).client(TokenServiceDefinition).whoAmI({});
    const before = await issue();
    expect(await whoAmI(before)).toMatchObject({ principalId: "owner" });
    // Nothing is taken back by what does nothing.
    await world.operator.hosts.unbarHost({ hostId: host.hostId });
    expect(await whoAmI(before)).toMatchObject({ principalId: "owner" });
    await bar(host.hostId);
    await world.operator.hosts.unbarHost({ hostId: host.hostId });
    expect((await clients.instances.getInstance({ instanceId: instance?.instanceId })).instance?.state).toBe(InstanceState.RUNNING);
    expect(await reasonOf(whoAmI(before))).toBe("UNAUTHENTICATED INSTANCE_TOKEN_ENDED");
    await host.connect();
    expect(await whoAmI(await issue())).toMatchObject({ principalId: "owner" });
  });
});

describe("what is changed of an interface whose host is barred", () => {
  const programmed = (of: Interface | undefined) => of?.attachments[0]?.conditions.find((one) => one.type === "Programmed");

  it("is committed and told to the others; a wait says at once that its own host does not apply it, and why", async () => {
    const at = await scene(world);
    const { interfaces } = at.clients;
    const { interfaceId } = at;
    const before = (await interfaces.getInterface({ interfaceId })).interface;
    expect(programmed(before)).toMatchObject({ status: ConditionStatus.TRUE });
    await bar(at.lost.hostId);
    expect(programmed((await interfaces.getInterface({ interfaceId })).interface)).toMatchObject({
      status: ConditionStatus.UNKNOWN,
      reason: "HostBarred",
    });
    const wait = { wait: WaitFor.PROGRAMMED, waitTimeout: seconds(30) };
    const begin = performance.now();
    const set = await interfaces.setAddresses({ interfaceId, privateAddresses: ["10.0.1.77"], ...wait });
    const update = { interface: { interfaceId, sourceDestCheck: false }, updateMask: ["source_dest_check"], ...wait };
    const updated = await interfaces.updateInterface(update);
    expect(performance.now() - begin).toBeLessThan(15_000);
    for (const { interface: record } of [set, updated]) {
      expect(record).toMatchObject({ privateAddresses: ["10.0.1.77"], state: InterfaceState.IN_REPAIR });
      expect(programmed(record)).toMatchObject({ status: ConditionStatus.UNKNOWN, reason: "HostBarred" });
      expect(programmed(record)?.message).toMatch(/was barred by an operator.*detach it with force/);
    }
    const { instance } = await at.clients.instances.getInstance({ instanceId: at.instanceId });
    expect(instance?.conditions).toContainEqual(
      expect.objectContaining({ type: "Running", status: ConditionStatus.UNKNOWN, reason: "HostBarred" }),
    );
    // Rules that it never hears of are not in force.
    const rules = await at.clients.groups.replaceSecurityGroupRules({ securityGroupId: at.defaultGroup, rules: [], ...wait });
    const inForce = rules.securityGroup?.conditions.find((one) => one.type === "Applied");
    expect(inForce).toMatchObject({ status: ConditionStatus.FALSE, message: expect.stringContaining("1 of 2 attachments") });
    // The old address stays its own until the host is cut off.
    const [old = ""] = before?.privateAddresses ?? [];
    const heir = (await interfaces.createInterface({ spec: { subnetId: at.subnetId, privateAddresses: [old] } })).interface?.interfaceId;
    const { instance: taker } = await at.clients.instances.runInstance({ stopped: true });
    const attach = () => interfaces.attachInterface({ spec: { interfaceId: heir, instanceId: taker?.instanceId } });
    expect(await reasonOf(attach())).toBe("FAILED_PRECONDITION ADDRESS_IN_USE");
    const ending = detach(at, { force: true, wait: 10 });
    await expect.poll(() => world.operatorMappings(at.networkId)).toHaveLength(1);
    await catchUp(world, at.other, at.networkId);
    expect((await ending)?.state).toBe(AttachmentState.DETACHED);
    await attach();
  });
});
