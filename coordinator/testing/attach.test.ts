import { sql } from "kysely";
import { Status } from "nice-grpc-common";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConditionStatus } from "#gen/plenum/common/v1/common.ts";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { AppliedState, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import type { Attachment } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { transaction } from "#lib/db/transaction.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import type { FakeHost } from "./fake-host.ts";
import { lockAwaited } from "./locks.ts";
import { startWorld } from "./world.ts";
import type { Clients, TestNetwork, World } from "./world.ts";

// N2, N3: what may be attached where, what a wait for it means, and what ends it.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const seconds = (value: number) => ({ seconds: BigInt(Math.floor(value)), nanos: (value % 1) * 1e9 });
const condition = (attachment: Attachment | undefined, type: string) => attachment?.conditions.find((one) => one.type === type);
const failure = async (call: Promise<unknown>) =>
  callFailure(
    await call.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );

interface Scene extends TestNetwork {
  readonly clients: Clients;
  readonly accountId: string;
  readonly host: FakeHost;
  /** A running instance with one interface. */
  readonly instanceId: string;
}

/** A zone of its own, so that placement has one host to choose. */
let zones = 0;
async function scene(): Promise<Scene> {
  zones += 1;
  const zoneId = `attach-${zones}`;
  const host = await world.host(zoneId);
  const { clients, accountId } = await world.account();
  const network = await world.network(clients);
  const instanceId = await run(clients, network.subnetId, zoneId);
  return { ...network, clients, accountId, host, instanceId };
}

async function run(clients: Clients, subnetId: string, zoneId: string): Promise<string> {
  const { instance, operation } = await clients.instances.runInstance({
    zoneId,
    interfaces: [{ source: { $case: "create", value: { subnetId } } }],
  });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  return instance?.instanceId ?? "";
}

async function record(clients: Clients, subnetId: string, privateAddresses: string[] = []): Promise<string> {
  const made = await clients.interfaces.createInterface({ spec: { subnetId, privateAddresses } });
  return made.interface?.interfaceId ?? "";
}

describe("attach", () => {
  test("waits until the host carries it, and says so", async () => {
    const { clients, instanceId, subnetId, host } = await scene();
    const interfaceId = await record(clients, subnetId);
    const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
    expect(attachment).toMatchObject({ state: AttachmentState.ATTACHED, deviceIndex: 1, hostId: host.hostId, generation: 1n });
    expect(condition(attachment, "Programmed")).toMatchObject({ status: ConditionStatus.TRUE, observedGeneration: 1n });
    expect(attachment?.programmedTime).toBeInstanceOf(Date);
  });

  test("COMMITTED answers at once, whatever the host does", async () => {
    const { clients, instanceId, subnetId, host } = await scene();
    host.behaviour.acknowledge = false;
    const { attachment } = await clients.interfaces.attachInterface({
      spec: { interfaceId: await record(clients, subnetId), instanceId },
      wait: WaitFor.COMMITTED,
    });
    expect(attachment?.state).toBe(AttachmentState.ATTACHING);
    expect(condition(attachment, "Programmed")).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitingForHost" });
  });

  test("a wait in vain leaves the attachment and says why; the late acknowledgement still counts", async () => {
    const { clients, instanceId, subnetId, host } = await scene();
    host.behaviour.acknowledge = false;
    const { attachment } = await clients.interfaces.attachInterface({
      spec: { interfaceId: await record(clients, subnetId), instanceId },
      waitTimeout: seconds(0.3),
    });
    expect(condition(attachment, "Programmed")).toMatchObject({ status: ConditionStatus.FALSE, reason: "WaitTimedOut" });
    host.acknowledge();
    await expect
      .poll(async () => (await clients.interfaces.getAttachment({ attachmentId: attachment?.attachmentId })).attachment?.state)
      .toBe(AttachmentState.ATTACHED);
  });

  test("a host that failed is quoted to operators; others learn what kind of failure it is", async () => {
    const { clients, instanceId, subnetId, host } = await scene();
    Object.assign(host.behaviour, { present: AppliedState.FAILED, message: "make /run/netns/i-1: ENOSPC" });
    const { attachment } = await clients.interfaces.attachInterface({
      spec: { interfaceId: await record(clients, subnetId), instanceId },
      waitTimeout: seconds(0.3),
    });
    expect(attachment?.state).toBe(AttachmentState.ATTACHING);
    const programmed = condition(attachment, "Programmed");
    expect(programmed).toMatchObject({ reason: "HostFailed", message: expect.stringContaining("the host has no room for it") });
    expect(programmed?.message).not.toContain("/run/netns");
    const seen = await world.operator.interfaces.getAttachment({ attachmentId: attachment?.attachmentId });
    expect(condition(seen.attachment, "Programmed")?.message).toContain("make /run/netns/i-1: ENOSPC");
    await clients.instances.stopInstance({ instanceId });
    host.behaviour.present = AppliedState.FAILED;
    const started = async (by: Clients) => (await by.instances.getInstance({ instanceId })).instance?.conditions[0]?.message;
    await expect.poll(async () => (await clients.instances.getInstance({ instanceId })).instance?.state).toBe(InstanceState.STOPPED);
    await clients.instances.startInstance({ instanceId });
    await expect.poll(() => started(world.operator)).toContain("make /run/netns/i-1: ENOSPC");
    expect(await started(clients)).toBe(
      "its host could not and goes on trying: the host has no room for it: stop the instance and start it again elsewhere",
    );
  });

  test("a host that is away is named as the reason", async () => {
    const { clients, instanceId, subnetId, host } = await scene();
    await host.disconnect();
    await expect.poll(async () => (await world.operator.hosts.getHost({ hostId: host.hostId })).host?.state).toBe(1);
    const { attachment } = await clients.interfaces.attachInterface({
      spec: { interfaceId: await record(clients, subnetId), instanceId },
      waitTimeout: seconds(0.3),
    });
    expect(condition(attachment, "Programmed")).toMatchObject({ status: ConditionStatus.UNKNOWN, reason: "HostDisconnected" });
    await host.connect();
    await expect
      .poll(async () => (await clients.interfaces.getAttachment({ attachmentId: attachment?.attachmentId })).attachment?.state)
      .toBe(AttachmentState.ATTACHED);
  });

  test("REACHABLE waits for the other hosts of the network, too", async () => {
    const { clients, instanceId, subnetId, networkId, host } = await scene();
    const other = await world.host("reach-other");
    await run(clients, subnetId, "reach-other");
    const everything = 1_000_000n;
    host.behaviour.networkVersions.set(networkId, everything);
    const interfaceId = await record(clients, subnetId);
    const { attachment } = await clients.interfaces.attachInterface({
      spec: { interfaceId, instanceId },
      wait: WaitFor.REACHABLE,
      waitTimeout: seconds(0.4),
    });
    expect(attachment?.state).toBe(AttachmentState.ATTACHED);
    expect(condition(attachment, "Reachable")).toMatchObject({
      status: ConditionStatus.FALSE,
      reason: "WaitTimedOut",
      message: expect.stringContaining("1 of 2 connected hosts of the network"),
    });
    const reader = async (by: Clients) =>
      condition((await by.interfaces.getAttachment({ attachmentId: attachment?.attachmentId })).attachment, "Reachable")?.message;
    expect(await reader(clients)).not.toMatch(/host-[0-9a-f]{8}/);
    expect(await reader(world.operator)).toContain(other.hostId);
    const again = clients.interfaces.attachInterface({
      spec: { interfaceId: await record(clients, subnetId), instanceId },
      wait: WaitFor.REACHABLE,
      waitTimeout: seconds(10),
    });
    other.behaviour.networkVersions.set(networkId, everything);
    other.acknowledge([]);
    expect(condition((await again).attachment, "Reachable")).toMatchObject({ status: ConditionStatus.TRUE });
  });

  test("goes by the groups that the record has under its lock, not by those that were read before", async () => {
    const { clients, instanceId, subnetId, vpcId, host } = await scene();
    const { securityGroup } = await clients.groups.createSecurityGroup({ vpcId, name: "late" });
    const [interfaceId, other] = [await record(clients, subnetId), await record(clients, subnetId)];
    const securityGroupIds = [securityGroup?.securityGroupId ?? ""];
    await clients.interfaces.updateInterface({ interface: { interfaceId: other, securityGroupIds }, updateMask: ["security_group_ids"] });
    const attaching = await transaction(world.db.kysely, async (tx) => {
      await sql`UPDATE interface SET group_set_id = (SELECT group_set_id FROM interface WHERE interface_id = ${other})
                WHERE interface_id = ${interfaceId}`.execute(tx);
      const call = clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
      await lockAwaited(world.db.kysely);
      return { call };
    });
    const { attachment } = await attaching.call;
    const { rows } = await sql<{ group_set_id: bigint; ruleset_id: bigint }>`
      SELECT s.group_set_id, s.ruleset_id FROM group_set s JOIN interface i USING (group_set_id) WHERE i.interface_id = ${other}`.execute(
      world.db.kysely,
    );
    const item = host.attachments.get(attachment?.attachmentId ?? "");
    expect([item?.groupSetId, item?.rulesetId]).toEqual([Number(rows[0]?.group_set_id), Number(rows[0]?.ruleset_id)]);
  });

  test("a repeat of the same request is the same attachment, at once and later", async () => {
    const { clients, instanceId, subnetId } = await scene();
    const request = { requestId: "attach-1", spec: { interfaceId: await record(clients, subnetId), instanceId } };
    const answers = await Promise.all(Array.from({ length: 5 }, () => clients.interfaces.attachInterface(request)));
    expect(new Set(answers.map((answer) => answer.attachment?.attachmentId)).size).toBe(1);
    const other = await failure(clients.interfaces.attachInterface({ ...request, spec: { ...request.spec, deleteOnTerminate: true } }));
    expect(other).toMatchObject({ code: Status.ALREADY_EXISTS, reason: "REQUEST_ID_REUSED" });
  });

  test("an interface has one attachment, an address one holder, a device one interface", async () => {
    const { clients, instanceId, subnetId } = await scene();
    const one = await record(clients, subnetId, ["10.0.1.77"]);
    const two = await record(clients, subnetId, ["10.0.1.77"]);
    const three = await record(clients, subnetId);
    const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId: one, instanceId } });
    expect(await failure(clients.interfaces.attachInterface({ spec: { interfaceId: one, instanceId } }))).toMatchObject({
      reason: "ALREADY_ATTACHED",
      facts: { attachment_id: attachment?.attachmentId },
    });
    expect(await failure(clients.interfaces.attachInterface({ spec: { interfaceId: two, instanceId } }))).toMatchObject({
      code: Status.FAILED_PRECONDITION,
      reason: "ADDRESS_IN_USE",
      facts: { address: "10.0.1.77" },
    });
    expect(await failure(clients.interfaces.attachInterface({ spec: { interfaceId: three, instanceId, deviceIndex: 1 } }))).toMatchObject({
      code: Status.INVALID_ARGUMENT,
      violations: [{ field: "spec.device_index" }],
    });
    await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: one } });
    const moved = await clients.interfaces.attachInterface({ spec: { interfaceId: two, instanceId } });
    expect(moved.attachment?.state).toBe(AttachmentState.ATTACHED);
  });

  test("of many at once for one address, one wins", async () => {
    const { clients, instanceId, subnetId } = await scene();
    const ids = await Promise.all(Array.from({ length: 6 }, () => record(clients, subnetId, ["10.0.1.88"])));
    const results = await Promise.allSettled(
      ids.map((interfaceId) => clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } })),
    );
    expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(callFailure(result.reason)?.reason).toBe("ADDRESS_IN_USE");
    }
  });

  test("a batch is all or nothing, with faults by index", async () => {
    const { clients, instanceId, subnetId } = await scene();
    const ids = await Promise.all([
      record(clients, subnetId),
      record(clients, subnetId, ["10.0.1.99"]),
      record(clients, subnetId, ["10.0.1.99"]),
    ]);
    const specs = ids.map((interfaceId) => ({ interfaceId, instanceId }));
    expect(await failure(clients.interfaces.batchAttachInterfaces({ specs }))).toMatchObject({
      reason: "ADDRESS_IN_USE",
      violations: [{ field: "specs[2].interface_id" }],
    });
    expect((await clients.interfaces.listInterfaces({ filter: { subnetId, state: 2 } })).interfaces).toHaveLength(1);
    const { attachments } = await clients.interfaces.batchAttachInterfaces({ specs: specs.slice(0, 2) });
    expect(attachments.map((one) => [one.state, one.deviceIndex])).toEqual([
      [AttachmentState.ATTACHED, 1],
      [AttachmentState.ATTACHED, 2],
    ]);
  });
});

describe("detach", () => {
  test("by interface, by attachment and by instance; DETACHED is the host's word", async () => {
    const { clients, instanceId, subnetId, host } = await scene();
    const ids = await Promise.all([record(clients, subnetId), record(clients, subnetId)]);
    const made = await clients.interfaces.batchAttachInterfaces({ specs: ids.map((interfaceId) => ({ interfaceId, instanceId })) });
    const [first, second] = made.attachments;
    const one = await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: ids[0] ?? "" } });
    expect(one.attachments).toMatchObject([{ attachmentId: first?.attachmentId, state: AttachmentState.DETACHED }]);
    expect(host.attachments.get(first?.attachmentId ?? "")).toMatchObject({ wanted: Wanted.ABSENT, generation: 2n });
    const two = await clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: second?.attachmentId ?? "" } });
    expect(two.attachments).toMatchObject([{ state: AttachmentState.DETACHED }]);
    const repeat = await clients.interfaces.detachInterface({ target: { $case: "attachmentId", value: second?.attachmentId ?? "" } });
    expect(repeat.attachments).toMatchObject([{ state: AttachmentState.DETACHED }]);
    const all = await clients.interfaces.detachInterface({ target: { $case: "instanceId", value: instanceId } });
    expect(all.attachments).toMatchObject([{ deviceIndex: 0, state: AttachmentState.DETACHED }]);
    expect(await failure(clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: ids[0] ?? "" } }))).toMatchObject({
      reason: "NOT_ATTACHED",
    });
  });

  test("without the host's word it stays DETACHING and says why; a stale word changes nothing", async () => {
    const { clients, instanceId, subnetId, host } = await scene();
    const interfaceId = await record(clients, subnetId);
    const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
    const attachmentId = attachment?.attachmentId ?? "";
    host.behaviour.acknowledge = false;
    const answer = await clients.interfaces.detachInterface({
      target: { $case: "interfaceId", value: interfaceId },
      waitTimeout: seconds(0.3),
    });
    expect(answer.attachments[0]?.state).toBe(AttachmentState.DETACHING);
    expect(condition(answer.attachments[0], "Detached")).toMatchObject({ reason: "WaitTimedOut" });

    const say = (generation: bigint, state: AppliedState): void =>
      host.send({
        $case: "applied",
        value: {
          sessionEpoch: host.epoch,
          hostVersion: 0n,
          networkVersions: new Map(),
          instances: [],
          attachments: [{ attachmentId, generation, state, message: "" }],
        },
      });
    say(1n, AppliedState.PRESENT);
    say(1n, AppliedState.ABSENT);
    await host.disconnect();
    await expect
      .poll(async () => condition((await clients.interfaces.getAttachment({ attachmentId })).attachment, "Detached")?.reason)
      .toBe("HostDisconnected");
    const away = await clients.interfaces.detachInterface({
      target: { $case: "interfaceId", value: interfaceId },
      waitTimeout: seconds(0.2),
    });
    expect(away.attachments[0]?.state).toBe(AttachmentState.DETACHING);
    expect(condition(away.attachments[0], "Detached")).toMatchObject({
      status: ConditionStatus.UNKNOWN,
      reason: "HostDisconnected",
      message: expect.stringContaining("until then its addresses stay taken"),
    });

    // The snapshot tells it again what is to go.
    host.attachments.clear();
    await host.connect();
    expect(host.attachments.get(attachmentId)).toMatchObject({ wanted: Wanted.ABSENT, generation: 2n });
    say(2n, AppliedState.ABSENT);
    await expect
      .poll(async () => (await clients.interfaces.getAttachment({ attachmentId })).attachment?.state)
      .toBe(AttachmentState.DETACHED);
  });

  test("what no host carries is over at once", async () => {
    const { clients, subnetId, instanceId } = await scene();
    const stopped = await clients.instances.stopInstance({ instanceId });
    expect(await world.finished(clients, stopped.operation?.operationId)).toBe("SUCCEEDED");
    const interfaceId = await record(clients, subnetId);
    const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId, instanceId } });
    expect(attachment).toMatchObject({ state: AttachmentState.ATTACHING, hostId: "", macAddress: "" });
    expect(condition(attachment, "Programmed")).toMatchObject({ reason: "NotPlaced" });
    const { attachments } = await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
    expect(attachments[0]?.state).toBe(AttachmentState.DETACHED);
  });
});

describe("who may", () => {
  test("another account's interface, attachment and instance are not there", async () => {
    const { clients, instanceId, subnetId } = await scene();
    const interfaceId = await record(clients, subnetId);
    const { attachments } = await clients.interfaces.listAttachments({ instanceId });
    const { clients: stranger } = await world.account();
    const hidden = { code: Status.NOT_FOUND, reason: "RESOURCE_NOT_FOUND" };
    const attempts = [
      () => stranger.interfaces.getInterface({ interfaceId }),
      () => stranger.interfaces.deleteInterface({ interfaceId }),
      () => stranger.interfaces.updateInterface({ interface: { interfaceId, description: "x" }, updateMask: ["description"] }),
      () => stranger.interfaces.attachInterface({ spec: { interfaceId, instanceId } }),
      () => stranger.interfaces.detachInterface({ target: { $case: "instanceId", value: instanceId } }),
      () => stranger.interfaces.detachInterface({ target: { $case: "attachmentId", value: attachments[0]?.attachmentId ?? "" } }),
      () => stranger.interfaces.getAttachment({ attachmentId: attachments[0]?.attachmentId }),
      () => stranger.interfaces.createInterface({ spec: { subnetId } }),
      () => stranger.instances.getInstance({ instanceId }),
      () => stranger.instances.terminateInstance({ instanceId }),
    ];
    for (const attempt of attempts) expect(await failure(attempt())).toMatchObject(hidden);
    expect((await stranger.interfaces.listInterfaces({})).interfaces).toEqual([]);
    expect((await stranger.interfaces.listAttachments({ instanceId })).attachments).toEqual([]);
    expect((await stranger.instances.listInstances({})).instances).toEqual([]);
  });

  test("an attacher attaches to its own instance, and does nothing else", async () => {
    const owner = await scene();
    const guest = await scene();
    const made = await owner.clients.interfaces.createInterface({
      spec: { subnetId: owner.subnetId, access: { attachers: [{ accountId: guest.accountId }] } },
    });
    const interfaceId = made.interface?.interfaceId ?? "";
    expect(made.interface?.access?.attachers).toMatchObject([{ accountId: guest.accountId, consentId: expect.stringMatching(/^cons-/) }]);
    const denied = { code: Status.PERMISSION_DENIED, reason: "NOT_ALLOWED" };
    expect((await guest.clients.interfaces.getInterface({ interfaceId })).interface?.ownerAccount).toBe(owner.accountId);
    expect((await guest.clients.interfaces.listInterfaces({ filter: { ownerAccount: owner.accountId } })).interfaces).toHaveLength(1);
    expect(await failure(guest.clients.interfaces.deleteInterface({ interfaceId }))).toMatchObject(denied);
    expect(
      await failure(
        guest.clients.interfaces.updateInterface({ interface: { interfaceId, description: "x" }, updateMask: ["description"] }),
      ),
    ).toMatchObject(denied);
    const spec = { interfaceId, instanceId: guest.instanceId };
    expect(await failure(guest.clients.interfaces.attachInterface({ spec: { ...spec, deleteOnTerminate: true } }))).toMatchObject(denied);
    expect(await failure(guest.clients.interfaces.attachInterface({ spec: { ...spec, instanceId: owner.instanceId } }))).toMatchObject({
      code: Status.NOT_FOUND,
    });
    const { attachment } = await guest.clients.interfaces.attachInterface({ spec });
    expect(attachment).toMatchObject({ state: AttachmentState.ATTACHED, attachmentOwner: guest.accountId, hostId: guest.host.hostId });
    const seen = (await owner.clients.interfaces.getInterface({ interfaceId })).interface;
    expect(seen?.attachments).toMatchObject([{ instanceId: guest.instanceId, hostId: "" }]);
    // Taken back, it binds at once.
    await owner.clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
    await owner.clients.interfaces.updateInterface({ interface: { interfaceId, access: {} }, updateMask: ["access"] });
    expect(await failure(guest.clients.interfaces.attachInterface({ spec }))).toMatchObject({ code: Status.NOT_FOUND });
  });
});
