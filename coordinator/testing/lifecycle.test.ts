import { Status } from "nice-grpc-common";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import type { DeepPartial, RunInstanceRequest } from "#gen/plenum/compute/v1/instance.ts";
import { HostState } from "#gen/plenum/host/v1/host.ts";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

// N7, N11: what becomes of interfaces as instances start, stop and end.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const failure = async (call: Promise<unknown>) =>
  callFailure(
    await call.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );

let zones = 0;
const freshZone = (): string => `lifecycle-${(zones += 1)}`;

async function run(clients: Clients, request: DeepPartial<RunInstanceRequest>) {
  const { instance, operation } = await clients.instances.runInstance(request);
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  return instance?.instanceId ?? "";
}

async function settled(clients: Clients, call: Promise<{ operation?: { operationId: string } | undefined }>): Promise<string> {
  return world.finished(clients, (await call).operation?.operationId);
}

const stateOf = async (clients: Clients, instanceId: string) => (await clients.instances.getInstance({ instanceId })).instance?.state;

describe("an instance", () => {
  test("stops and starts on another host: same record, same address, another meter", async () => {
    const zoneId = freshZone();
    const first = await world.host(zoneId);
    const { clients } = await world.account();
    const { subnetId, networkId } = await world.network(clients);
    const instanceId = await run(clients, { zoneId, interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
    const [before] = first.attachments.values();
    expect(await settled(clients, clients.instances.stopInstance({ instanceId }))).toBe("SUCCEEDED");
    const stopped = (await clients.interfaces.listAttachments({ instanceId })).attachments;
    expect(stopped).toMatchObject([{ state: AttachmentState.ATTACHING, hostId: "" }]);
    expect(first.instances.get(instanceId)?.wanted).toBe(Wanted.ABSENT);
    const mappings = async () => (await world.operatorMappings(networkId)).map((row) => row.host_id);
    expect(await mappings()).toEqual([]);

    await first.disconnect();
    await expect.poll(async () => (await world.operator.hosts.getHost({ hostId: first.hostId })).host?.state).toBe(HostState.DISCONNECTED);
    const second = await world.host(zoneId);
    expect(await settled(clients, clients.instances.startInstance({ instanceId }))).toBe("SUCCEEDED");
    const [after] = second.attachments.values();
    expect(after).toMatchObject({
      attachmentId: before?.attachmentId,
      wireId: before?.wireId,
      addresses: before?.addresses,
      macAddress: before?.macAddress,
    });
    expect(after?.meterId).toBeGreaterThan(before?.meterId ?? 0n);
    expect(after?.generation).toBeGreaterThan(before?.generation ?? 0n);
    expect(await mappings()).toEqual([second.hostId]);
    expect(await stateOf(clients, instanceId)).toBe(InstanceState.RUNNING);
  });

  test("starts only with an interface, and on a connected host", async () => {
    const zoneId = freshZone();
    const { clients } = await world.account();
    const { subnetId } = await world.network(clients);
    const create = { source: { $case: "create" as const, value: { subnetId } } };
    expect(await failure(clients.instances.runInstance({ interfaces: [] }))).toMatchObject({
      code: Status.FAILED_PRECONDITION,
      reason: "NO_INTERFACE",
      facts: { field: "interfaces" },
      violations: [{ field: "interfaces" }],
    });
    expect(await failure(clients.instances.runInstance({ zoneId: "nowhere", interfaces: [create] }))).toMatchObject({
      code: Status.NOT_FOUND,
    });
    const host = await world.host(zoneId);
    await host.disconnect();
    await expect.poll(async () => (await failure(clients.instances.runInstance({ zoneId, interfaces: [create] })))?.reason).toBe("NO_HOST");
    // Refused whole: no record is left behind.
    const before = (await clients.interfaces.listInterfaces({ filter: { subnetId, state: 1 } })).interfaces.length;
    expect(await failure(clients.instances.runInstance({ zoneId, interfaces: [create] }))).toMatchObject({ reason: "NO_HOST" });
    expect((await clients.interfaces.listInterfaces({ filter: { subnetId, state: 1 } })).interfaces).toHaveLength(before);

    const instanceId = await run(clients, { zoneId, stopped: true });
    expect(await failure(clients.instances.startInstance({ instanceId }))).toMatchObject({ reason: "NO_INTERFACE" });
    const made = await clients.interfaces.createInterface({ spec: { subnetId } });
    await clients.interfaces.attachInterface({ spec: { interfaceId: made.interface?.interfaceId, instanceId } });
    expect(await failure(clients.instances.startInstance({ instanceId }))).toMatchObject({ reason: "NO_HOST", facts: { zone_id: zoneId } });
    await host.connect();
    expect(await settled(clients, clients.instances.startInstance({ instanceId }))).toBe("SUCCEEDED");
    expect(await settled(clients, clients.instances.startInstance({ instanceId }))).toBe("SUCCEEDED");
    expect(await stateOf(clients, instanceId)).toBe(InstanceState.RUNNING);
  });

  test("ends with its interfaces where that was asked for, and leaves the others", async () => {
    const zoneId = freshZone();
    const host = await world.host(zoneId);
    const { clients } = await world.account();
    const { subnetId } = await world.network(clients);
    const kept = (await clients.interfaces.createInterface({ spec: { subnetId } })).interface?.interfaceId ?? "";
    const instanceId = await run(clients, {
      zoneId,
      interfaces: [{ source: { $case: "create", value: { subnetId } } }, { source: { $case: "interfaceId", value: kept } }],
    });
    const { attachments } = await clients.interfaces.listAttachments({ instanceId });
    expect(attachments.map((one) => [one.deviceIndex, one.deleteOnTerminate])).toEqual(
      expect.arrayContaining([
        [0, true],
        [1, false],
      ]),
    );
    const gone = attachments.find((one) => one.deviceIndex === 0);
    expect(await settled(clients, clients.instances.terminateInstance({ instanceId }))).toBe("SUCCEEDED");
    expect(await stateOf(clients, instanceId)).toBe(InstanceState.TERMINATED);
    expect(await failure(clients.interfaces.getInterface({ interfaceId: gone?.interfaceId }))).toMatchObject({ code: Status.NOT_FOUND });
    expect((await clients.interfaces.getInterface({ interfaceId: kept })).interface).toMatchObject({ state: 1, deletionBlockers: [] });
    expect((await clients.interfaces.getAttachment({ attachmentId: gone?.attachmentId })).attachment?.state).toBe(AttachmentState.DETACHED);
    await expect.poll(() => host.rulesets.size).toBe(0);
    expect(await settled(clients, clients.instances.terminateInstance({ instanceId }))).toBe("SUCCEEDED");
    expect(await failure(clients.instances.startInstance({ instanceId }))).toMatchObject({
      reason: "WRONG_STATE",
      facts: { state: "TERMINATED" },
      message: expect.stringContaining("run another instance"),
    });
    expect(await failure(clients.interfaces.attachInterface({ spec: { interfaceId: kept, instanceId } }))).toMatchObject({
      reason: "WRONG_STATE",
      facts: { state: "TERMINATED" },
      message: expect.stringContaining("attach to another instance"),
    });
  });

  test("ends at once where it is stopped", async () => {
    const { clients } = await world.account();
    const { subnetId } = await world.network(clients);
    const instanceId = await run(clients, { stopped: true, interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
    const { instance, operation } = await clients.instances.terminateInstance({ instanceId });
    expect(instance?.state).toBe(InstanceState.TERMINATED);
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    expect((await clients.interfaces.listInterfaces({ filter: { subnetId } })).interfaces).toEqual([]);
  });

  test("terminated while its host is away ends when the host is back; a detach asked for before deletes nothing", async () => {
    const zoneId = freshZone();
    const host = await world.host(zoneId);
    const { clients } = await world.account();
    const { subnetId } = await world.network(clients);
    const instanceId = await run(clients, {
      zoneId,
      interfaces: [{ source: { $case: "create", value: { subnetId } } }, { source: { $case: "create", value: { subnetId } } }],
    });
    const { attachments } = await clients.interfaces.listAttachments({ instanceId });
    const [one, two] = attachments.map((attachment) => attachment.interfaceId);
    await host.disconnect();
    await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: one ?? "" }, wait: 1 });
    const { operation } = await clients.instances.terminateInstance({ instanceId });
    expect(await stateOf(clients, instanceId)).toBe(InstanceState.TERMINATING);
    expect((await clients.instances.getInstance({ instanceId })).instance?.conditions).toMatchObject([{ reason: "HostDisconnected" }]);
    await host.connect();
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    expect((await clients.interfaces.getInterface({ interfaceId: one })).interface?.state).toBe(1);
    expect(await failure(clients.interfaces.getInterface({ interfaceId: two }))).toMatchObject({ code: Status.NOT_FOUND });
  });

  test("a repeat of the same request is the same instance", async () => {
    const zoneId = freshZone();
    await world.host(zoneId);
    const { clients } = await world.account();
    const { subnetId } = await world.network(clients);
    const request = { requestId: "run-1", zoneId, interfaces: [{ source: { $case: "create" as const, value: { subnetId } } }] };
    const answers = await Promise.all(Array.from({ length: 4 }, () => clients.instances.runInstance(request)));
    expect(new Set(answers.map((answer) => answer.instance?.instanceId)).size).toBe(1);
    expect((await clients.instances.listInstances({})).instances).toHaveLength(1);
    expect((await clients.interfaces.listInterfaces({ filter: { subnetId } })).interfaces).toHaveLength(1);
  });

  test("goes to the host with the fewest, in the zone that its subnets demand", async () => {
    const zoneId = freshZone();
    const hosts = [await world.host(zoneId), await world.host(zoneId)];
    const { clients } = await world.account();
    const { vpc, firstSubnet } = await clients.vpcs.createVpc({
      cidrBlock: "10.0.0.0/16",
      firstSubnet: { cidrBlock: "10.0.1.0/24", zoneId },
    });
    const create = { source: { $case: "create" as const, value: { subnetId: firstSubnet?.subnetId } } };
    for (let count = 0; count < 4; count += 1) await run(clients, { interfaces: [create] });
    expect(hosts.map((host) => host.instances.size)).toEqual([2, 2]);
    expect(vpc?.vpcId).toMatch(/^vpc-/);
    const other = freshZone();
    await world.host(other);
    expect(await failure(clients.instances.runInstance({ zoneId: other, interfaces: [create] }))).toMatchObject({ reason: "NO_HOST" });
    const foreign = await world.network(clients);
    const elsewhere = await run(clients, {
      zoneId: other,
      interfaces: [{ source: { $case: "create", value: { subnetId: foreign.subnetId } } }],
    });
    const record = await clients.interfaces.createInterface({ spec: { subnetId: firstSubnet?.subnetId } });
    expect(
      await failure(clients.interfaces.attachInterface({ spec: { interfaceId: record.interface?.interfaceId, instanceId: elsewhere } })),
    ).toMatchObject({
      reason: "WRONG_STATE",
    });
  });

  test("its process's end is told", async () => {
    const zoneId = freshZone();
    const host = await world.host(zoneId);
    const { clients } = await world.account();
    const { subnetId } = await world.network(clients);
    const instanceId = await run(clients, {
      zoneId,
      process: { argv: ["true"] },
      interfaces: [{ source: { $case: "create", value: { subnetId } } }],
    });
    host.send({
      $case: "applied",
      value: {
        sessionEpoch: host.epoch,
        hostVersion: host.version,
        networkVersions: new Map(),
        attachments: [],
        instances: [
          { instanceId, generation: 1n, state: 1, message: "exited with code 3", netnsPath: "/run/netns/x", processRunning: false },
        ],
      },
    });
    await expect
      .poll(async () => (await clients.instances.getInstance({ instanceId })).instance?.conditions[0])
      .toMatchObject({ reason: "ProcessEnded", message: "exited with code 3" });
    expect((await clients.instances.getInstance({ instanceId })).instance?.netnsPath).toBe("");
    expect((await world.operator.instances.getInstance({ instanceId })).instance?.netnsPath).toBe("/run/netns/x");
  });

  test("an operator names the owner and may choose the host; others may not", async () => {
    const zoneId = freshZone();
    await world.host(zoneId);
    const second = await world.host(zoneId);
    const { accountId, clients } = await world.account();
    const { subnetId } = await world.network(clients);
    const request = { hostId: second.hostId, interfaces: [{ source: { $case: "create" as const, value: { subnetId } } }] };
    expect(await failure(world.operator.instances.runInstance(request))).toMatchObject({
      code: Status.INVALID_ARGUMENT,
      violations: [{ field: "owner_account" }],
    });
    expect(await failure(clients.instances.runInstance(request))).toMatchObject({ code: Status.NOT_FOUND });
    const { instance } = await world.operator.instances.runInstance({ ...request, ownerAccount: accountId });
    expect(instance).toMatchObject({ ownerAccount: accountId, hostId: second.hostId });
    expect(await failure(clients.hosts.getHost({ hostId: second.hostId }))).toMatchObject({ code: Status.NOT_FOUND });
    expect((await clients.hosts.listHosts({})).hosts).toEqual([]);
    expect(await failure(clients.hosts.createJoinToken({ zoneId }))).toMatchObject({ code: Status.PERMISSION_DENIED });
    const { instanceId = "" } = instance ?? {};
    const stop = await clients.instances.stopInstance({ instanceId });
    expect(await world.finished(clients, stop.operation?.operationId)).toBe("SUCCEEDED");
    await world.age(second.hostId, 20);
    const refused = async (by: Clients) => (await failure(by.instances.startInstance({ instanceId })))?.message;
    expect(await refused(world.operator)).toContain(second.hostId);
    expect(await refused(clients)).toContain("no connected host in the place that an operator chose");
  });
});
