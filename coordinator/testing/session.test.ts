import { sql } from "kysely";
import { Status } from "nice-grpc-common";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HostState } from "#gen/plenum/host/v1/host.ts";
import { AppliedState, HostFeedServiceDefinition, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { createHostRequest } from "#lib/auth/ca.ts";
import { derOf } from "#lib/auth/pem.ts";
import { transaction } from "#lib/db/transaction.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { openChannel } from "#lib/rpc/client.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { Direction, Protocol } from "#gen/plenum/network/v1/security_group.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

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
async function scene() {
  zones += 1;
  const zoneId = `session-${zones}`;
  const host = await world.host(zoneId);
  const { clients } = await world.account();
  const network = await world.network(clients);
  const instanceId = await run(clients, network.subnetId, zoneId);
  return { host, clients, instanceId, zoneId, ...network };
}

async function run(clients: Clients, subnetId: string, zoneId: string): Promise<string> {
  const { instance, operation } = await clients.instances.runInstance({
    zoneId,
    interfaces: [{ source: { $case: "create", value: { subnetId } } }],
  });
  expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
  return instance?.instanceId ?? "";
}

const wantedVersions = async (hostId: string) => {
  const { host } = await world.operator.hosts.getHost({ hostId });
  return [host?.wantedVersion, host?.appliedVersion];
};

describe("a session", () => {
  test("tells rules before what names them, and nothing of other hosts", async () => {
    const { host, instanceId } = await scene();
    await scene();
    await host.disconnect();
    await host.connect();
    const kinds = host.received.flatMap(({ message }) =>
      message?.$case === "change" ? message.value.items.map((item) => item.item?.$case) : [],
    );
    expect(kinds).toEqual(["ruleset", "instance", "attachment"]);
    expect(host.received.map(({ message }) => message?.$case)).toEqual(["opened", "change", "inSync"]);
    expect([...host.instances.keys()]).toEqual([instanceId]);
    const [wanted] = await wantedVersions(host.hostId);
    await expect.poll(async () => (await wantedVersions(host.hostId))[1]).toBe(wanted);
  });

  test("has what is to go in its snapshot until that was acknowledged", async () => {
    const { host, clients, instanceId } = await scene();
    host.behaviour.acknowledge = false;
    await clients.instances.terminateInstance({ instanceId });
    await host.disconnect();
    host.attachments.clear();
    host.instances.clear();
    await host.connect();
    expect([...host.attachments.values()]).toMatchObject([{ wanted: Wanted.ABSENT }]);
    expect([...host.instances.values()]).toMatchObject([{ wanted: Wanted.ABSENT }]);
    host.acknowledge();
    await expect.poll(async () => (await clients.instances.getInstance({ instanceId })).instance?.state).toBe(6);
    await host.disconnect();
    await host.connect();
    expect([host.attachments.size, host.instances.size]).toEqual([0, 0]);
  });

  test("taken over by a newer one ends with STALE_SESSION, and the newer one goes on", async () => {
    const { host, clients, subnetId, instanceId } = await scene();
    const old = host.ended();
    const oldEpoch = host.epoch;
    await host.connect();
    await old;
    expect(callFailure(host.failure)).toMatchObject({
      code: Status.ABORTED,
      reason: "STALE_SESSION",
      facts: { session_epoch: String(oldEpoch) },
    });
    expect(host.epoch).toBe(oldEpoch + 1n);
    const made = await clients.interfaces.createInterface({ spec: { subnetId } });
    const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId: made.interface?.interfaceId, instanceId } });
    expect(attachment?.state).toBe(AttachmentState.ATTACHED);
    expect((await world.operator.hosts.getHost({ hostId: host.hostId })).host).toMatchObject({
      state: HostState.CONNECTED,
      sessionEpoch: host.epoch,
    });
    // A word of the older session is refused.
    host.send({ $case: "heartbeat", value: { sessionEpoch: oldEpoch, substrate: undefined } });
    await host.ended();
    expect(callFailure(host.failure)).toMatchObject({ code: Status.ABORTED, reason: "STALE_SESSION" });
    await expect.poll(async () => (await world.operator.hosts.getHost({ hostId: host.hostId })).host?.state).toBe(HostState.DISCONNECTED);
  });

  test("survives the coordinator's restart: snapshot, acknowledgements, nothing lost", async () => {
    const { host, clients, instanceId, subnetId } = await scene();
    host.behaviour.acknowledge = false;
    const made = await clients.interfaces.createInterface({ spec: { subnetId } });
    const interfaceId = made.interface?.interfaceId ?? "";
    const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait: 1 });
    await world.restart();
    await host.ended();
    expect(callFailure(host.failure)?.code).toBe(Status.UNAVAILABLE);
    host.behaviour.acknowledge = true;
    await host.connect();
    await expect
      .poll(async () => (await clients.interfaces.getAttachment({ attachmentId: attachment?.attachmentId })).attachment?.state)
      .toBe(AttachmentState.ATTACHED);
  });

  test("a lease that is over counts as disconnected, whatever the row says", async () => {
    const { host, clients, subnetId, zoneId } = await scene();
    await world.age(host.hostId, 16);
    const row = await world.operator.hosts.getHost({ hostId: host.hostId });
    expect(row.host).toMatchObject({
      state: HostState.DISCONNECTED,
      conditions: [{ reason: "HostDisconnected" }, { type: "SubstrateReady", reason: "HostDisconnected" }],
    });
    const refused = clients.instances.runInstance({ zoneId, interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
    expect(await failure(refused)).toMatchObject({ reason: "NO_HOST" });
    host.beat();
    await expect.poll(async () => (await world.operator.hosts.getHost({ hostId: host.hostId })).host?.state).toBe(HostState.CONNECTED);
  });

  test("begins with hello, and is a host's", async () => {
    const { host } = await scene();
    async function* wrong() {
      yield { message: { $case: "heartbeat" as const, value: { sessionEpoch: 1n } } };
      await Promise.resolve();
    }
    const drain = async (stream: AsyncIterable<unknown>): Promise<void> => {
      for await (const _ of stream);
    };
    expect(await failure(drain(host.client.connect(wrong())))).toMatchObject({ code: Status.INVALID_ARGUMENT });
    const anonymous = openChannel({ ...world.internal, serverName: "localhost" });
    expect(await failure(drain(anonymous.client(HostFeedServiceDefinition).connect(wrong())))).toMatchObject({
      code: Status.UNAUTHENTICATED,
    });
    anonymous.close();
  });

  test("rules that change while the host lets go of what named them go, too", async () => {
    const { host, clients, instanceId, defaultGroup } = await scene();
    expect(host.rulesets.size).toBe(1);
    host.behaviour.acknowledge = false;
    const stopped = await clients.instances.stopInstance({ instanceId });
    await clients.groups.replaceSecurityGroupRules({ securityGroupId: defaultGroup, rules: [] });
    await expect.poll(() => [...host.attachments.values()].map((item) => item.wanted)).toEqual([Wanted.ABSENT]);
    host.acknowledge();
    await world.finished(clients, stopped.operation?.operationId);
    await expect.poll(() => host.rulesets.size).toBe(0);
    host.behaviour.acknowledge = true;
    await world.finished(clients, (await clients.instances.startInstance({ instanceId })).operation?.operationId);
    expect([...host.rulesets.values()].map((item) => item.rules)).toEqual([[]]);
  });

  test("counts that cannot be written yet hold up no acknowledgement", async () => {
    const { host, clients, subnetId, instanceId } = await scene();
    const [item] = host.attachments.values();
    const meterId = item?.meterId ?? 0n;
    const { interface: made } = await clients.interfaces.createInterface({ spec: { subnetId } });
    const traffic = async () =>
      (await clients.interfaces.getAttachment({ attachmentId: item?.attachmentId })).attachment?.traffic?.egressBytes;
    await transaction(world.db.kysely, async (tx) => {
      await sql`SELECT FROM meter WHERE meter_id = ${meterId} FOR UPDATE`.execute(tx);
      host.count({ meters: [{ meterId, egressPackets: 1n, egressBytes: 77n, ingressPackets: 0n, ingressBytes: 0n }] });
      const { attachment } = await clients.interfaces.attachInterface({ spec: { interfaceId: made?.interfaceId, instanceId } });
      expect(attachment?.state).toBe(AttachmentState.ATTACHED);
      expect(await traffic()).toBe(0n);
    });
    await expect.poll(traffic).toBe(77n);
  });

  test("a number that no database holds ends the stream of who says it", async () => {
    const { host } = await scene();
    const [item] = host.attachments.values();
    const huge = 2n ** 63n;
    const applied = { sessionEpoch: 0n, hostVersion: 0n, networkVersions: new Map<bigint, bigint>(), attachments: [], instances: [] };
    const status = { attachmentId: item?.attachmentId ?? "", generation: huge, state: AppliedState.PRESENT, message: "" };
    for (const wrong of [{ hostVersion: huge }, { networkVersions: new Map([[1n, huge]]) }, { attachments: [status] }]) {
      host.send({ $case: "applied", value: { ...applied, sessionEpoch: host.epoch, ...wrong } });
      await host.ended();
      expect(callFailure(host.failure)).toMatchObject({ code: Status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
      await host.connect();
    }
    host.count({ drops: [{ wireId: item?.wireId ?? 0, reason: "NO_RULE", packets: huge }] });
    await host.ended();
    expect(callFailure(host.failure)).toMatchObject({ code: Status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
  });

  test("takes a host's words however long they are, also where their cut meets the middle of a character", async () => {
    const { host, instanceId } = await scene();
    host.behaviour.present = AppliedState.FAILED;
    host.behaviour.message = `${"x".repeat(999)}😀 and more`;
    await host.disconnect();
    await host.connect();
    const said = async () => {
      const { attachments } = await world.operator.interfaces.listAttachments({ instanceId });
      return attachments[0]?.conditions.find(({ reason }) => reason === "HostFailed")?.message ?? "";
    };
    await expect.poll(said).toContain("xxx");
    expect(host.failure).toBeUndefined();
  });

  test("rules and items of a change come together, and old rules go", async () => {
    const { host, clients, defaultGroup } = await scene();
    const [before] = host.attachments.values();
    await clients.groups.replaceSecurityGroupRules({
      securityGroupId: defaultGroup,
      rules: [
        { direction: Direction.INGRESS, protocol: Protocol.TCP, portFrom: 80, portTo: 80, peer: { $case: "cidr", value: "0.0.0.0/0" } },
      ],
    });
    await expect.poll(() => [...host.attachments.values()][0]?.rulesetId).not.toBe(before?.rulesetId);
    const last = host.received.findLast(({ message }) => message?.$case === "change")?.message;
    const items = last?.$case === "change" ? last.value.items.map((item) => item.item) : [];
    expect(items.map((item) => item?.$case).sort()).toEqual(["attachment", "ruleset", "ruleset"]);
    const [after] = host.attachments.values();
    expect(after?.generation).toBe((before?.generation ?? 0n) + 1n);
    expect([...host.rulesets.keys()]).toEqual([after?.rulesetId]);
    expect(host.rulesets.get(after?.rulesetId ?? 0)?.rules).toMatchObject([{ egress: false, protocol: 6, portFrom: 80 }]);
  });

  test("counters only rise, belong to the host that counts, and sum up over placements", async () => {
    const { host, clients, instanceId } = await scene();
    const stranger = await world.host("stranger");
    const [item] = host.attachments.values();
    const interfaceId = (await clients.interfaces.listInterfaces({ filter: { instanceId } })).interfaces[0]?.interfaceId ?? "";
    const reading = (bytes: bigint) => ({
      meterId: item?.meterId ?? 0n,
      egressPackets: 2n,
      egressBytes: bytes,
      ingressPackets: 1n,
      ingressBytes: 50n,
    });
    const bytes = async () => (await clients.interfaces.getInterface({ interfaceId })).interface?.traffic?.egressBytes;
    host.count({
      meters: [reading(100n)],
      drops: [
        { wireId: item?.wireId ?? 0, reason: "NO_RULE", packets: 3n },
        { wireId: 0, reason: "UNKNOWN_VNI", packets: 7n },
      ],
    });
    await expect.poll(bytes).toBe(100n);
    stranger.count({ meters: [reading(9_999n)] });
    host.count({ meters: [reading(40n)] });
    host.count({ meters: [reading(120n)] });
    await expect.poll(bytes).toBe(120n);
    expect((await clients.interfaces.getInterface({ interfaceId })).interface?.traffic).toMatchObject({
      droppedPackets: 3n,
      dropsByReason: { NO_RULE: 3n },
    });
    expect((await world.operator.hosts.getHost({ hostId: host.hostId })).host?.hostDropsByReason).toEqual({ UNKNOWN_VNI: 7n });
    await world.finished(clients, (await clients.instances.stopInstance({ instanceId })).operation?.operationId);
    await world.finished(clients, (await clients.instances.startInstance({ instanceId })).operation?.operationId);
    const again = [...host.attachments.values()][0];
    host.count({ meters: [{ ...reading(5n), meterId: again?.meterId ?? 0n }] });
    await expect.poll(bytes).toBe(125n);
  });
});

describe("joining", () => {
  const join = async (request: { token: string; csr: Buffer; name: string; substrateAddress: string }) => {
    const channel = openChannel({ ...world.internal, serverName: "localhost" });
    try {
      return await channel.client(HostFeedServiceDefinition).join(request);
    } finally {
      channel.close();
    }
  };

  test("the same key joins again as the same host; another key does not; names and addresses are one host's", async () => {
    const { token } = await world.operator.hosts.createJoinToken({ zoneId: "zone-a" });
    const csr = derOf((await createHostRequest()).csr);
    const request = { token, csr, name: "joiner", substrateAddress: "198.18.77.1" };
    const answers = await Promise.all([join(request), join(request), join(request)]);
    expect(new Set(answers.map((answer) => answer.hostId)).size).toBe(1);
    const [{ hostId, certificate, zoneId } = { hostId: "", certificate: "", zoneId: "" }] = answers;
    expect(zoneId).toBe("zone-a");
    expect(certificate).toContain("BEGIN CERTIFICATE");

    const other = derOf((await createHostRequest()).csr);
    expect(await failure(join({ ...request, csr: other, name: "other" }))).toMatchObject({
      code: Status.UNAUTHENTICATED,
      reason: "BAD_JOIN_TOKEN",
    });
    const second = (await world.operator.hosts.createJoinToken({ zoneId: "zone-a" })).token;
    expect(await failure(join({ ...request, token: second, csr: other }))).toMatchObject({
      code: Status.ALREADY_EXISTS,
      reason: "NAME_TAKEN",
    });
    expect(await failure(join({ ...request, token: second, csr: other, name: "other" }))).toMatchObject({
      code: Status.ALREADY_EXISTS,
      facts: { field: "substrate_address" },
    });
    expect((await join({ ...request, token: second })).hostId).toBe(hostId);
  });

  test("a host is known by the keys that it was renewed with, the newest and the one before", async () => {
    const newToken = async () => (await world.operator.hosts.createJoinToken({ zoneId: "zone-a" })).token;
    const token = await newToken();
    const [first, second, third] = [await createHostRequest(), await createHostRequest(), await createHostRequest()];
    const joinWith = (csr: string, by = token) => join({ token: by, csr: derOf(csr), name: "renewer", substrateAddress: "198.18.77.9" });
    const { hostId, certificate } = await joinWith(first.csr);
    const renew = async (cert: string, key: string, csr: string) => {
      const channel = openChannel({ ...world.internal, serverName: "localhost", cert, key });
      try {
        return await channel.client(HostFeedServiceDefinition).renewCertificate({ csr: derOf(csr) });
      } finally {
        channel.close();
      }
    };
    // Asked twice: the answer to the first was lost.
    await renew(certificate, first.key, second.csr);
    await renew(certificate, first.key, second.csr);
    expect((await joinWith(second.csr)).hostId).toBe(hostId);
    const back = await joinWith(first.csr);
    expect(back.hostId).toBe(hostId);
    await renew(back.certificate, first.key, third.csr);
    expect((await joinWith(first.csr)).hostId).toBe(hostId);
    expect((await joinWith(third.csr)).hostId).toBe(hostId);
    expect(await failure(joinWith(second.csr))).toMatchObject({ reason: "BAD_JOIN_TOKEN" });
    expect((await joinWith(third.csr, await newToken())).hostId).toBe(hostId);
    expect(await failure(joinWith(second.csr, await newToken()))).toMatchObject({ reason: "NAME_TAKEN" });
  });

  test("refuses what is no token, no request, no name, no address", async () => {
    const { token } = await world.operator.hosts.createJoinToken({ zoneId: "zone-a" });
    const csr = derOf((await createHostRequest()).csr);
    const good = { token, csr, name: "fine", substrateAddress: "198.18.78.1" };
    expect(await failure(join({ ...good, token: "x" }))).toMatchObject({ reason: "BAD_JOIN_TOKEN" });
    expect(await failure(join({ ...good, token: token.slice(0, -4) + "AAAA" }))).toMatchObject({ reason: "BAD_JOIN_TOKEN" });
    for (const [field, value] of [
      ["csr", Buffer.from("nonsense")],
      ["name", "Not A Name"],
      ["substrateAddress", "2001:db8::1"],
      ["substrateAddress", "224.0.0.1"],
    ] as const) {
      expect(await failure(join({ ...good, [field]: value }))).toMatchObject({ code: Status.INVALID_ARGUMENT });
    }
    await world.expireTokens();
    expect(await failure(join(good))).toMatchObject({ reason: "BAD_JOIN_TOKEN", code: Status.UNAUTHENTICATED });
    expect(await failure(world.operator.hosts.createJoinToken({ zoneId: "nowhere" }))).toMatchObject({ code: Status.NOT_FOUND });
  });

  test("a key is one host's: neither a renewal nor a join gets another's", async () => {
    const { csr } = await createHostRequest();
    const [one, two] = [await world.host(), await world.host()];
    await one.client.renewCertificate({ csr: derOf(csr) });
    const refused = await failure(two.client.renewCertificate({ csr: derOf(csr) }));
    expect(refused).toMatchObject({ code: Status.ALREADY_EXISTS, reason: "NAME_TAKEN", facts: { field: "csr" } });
    // Two tokens, two names, one key at once: one host.
    const both = derOf((await createHostRequest()).csr);
    const tokens = await Promise.all([1, 2].map(() => world.operator.hosts.createJoinToken({ zoneId: "zone-a" })));
    const joins = tokens.map(({ token }, index) =>
      failure(join({ token, csr: both, name: `twin-${index}`, substrateAddress: `198.18.79.${index + 1}` })),
    );
    const outcomes = await Promise.all(joins);
    expect(outcomes.filter((one) => one === undefined)).toHaveLength(1);
    expect(outcomes.find((one) => one !== undefined)?.code).not.toBe(Status.INTERNAL);
  });

  test("a certificate is renewed for the same host", async () => {
    const host = await world.host();
    const { csr, key } = await createHostRequest();
    const renewed = await host.client.renewCertificate({ csr: derOf(csr) });
    const channel = openChannel({ ...world.internal, serverName: "localhost", cert: renewed.certificate, key });
    const again = await channel.client(HostFeedServiceDefinition).renewCertificate({ csr: derOf(csr) });
    expect(again.caBundle).toContain("BEGIN CERTIFICATE");
    channel.close();
  });
});
