import { sql } from "kysely";
import { Status } from "nice-grpc-common";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuditServiceDefinition } from "#gen/plenum/audit/v1/audit.ts";
import { InstanceState } from "#gen/plenum/compute/v1/instance.ts";
import { HostState } from "#gen/plenum/host/v1/host.ts";
import { HostFeedServiceDefinition, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role, TokenServiceDefinition } from "#gen/plenum/identity/v1/token.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { createHostRequest } from "#lib/auth/ca.ts";
import { derOf } from "#lib/auth/pem.ts";
import { openChannel } from "#lib/rpc/client.ts";
import { catchUp, detach, detached, scene } from "./force-scene.ts";
import { holdOpen, lockAwaited } from "./locks.ts";
import { reasonOf } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// C8: a host that an operator barred is taken at its word no more, and C7: it is not waited for, the others are.

const BARRED = "PERMISSION_DENIED HOST_BARRED";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const bar = (hostId: string, reason = "its key was copied") => world.operator.hosts.barHost({ hostId, reason });
const unbar = (hostId: string) => world.operator.hosts.unbarHost({ hostId });
const seen = async (hostId: string) => (await world.operator.hosts.getHost({ hostId })).host;

describe("a barred host", () => {
  it("is refused at every copy, whatever it asks, and its open session ends", async () => {
    const host = await world.host();
    const elsewhere = host.at((await world.copy()).internal);
    const ended = host.ended();
    expect((await bar(host.hostId)).host?.state).toBe(HostState.BARRED);
    await ended;
    expect(host.failure).toMatchObject({ code: Status.PERMISSION_DENIED });
    for (const copy of [host, elsewhere]) {
      expect(await reasonOf(copy.connect())).toBe(BARRED);
      expect(await reasonOf(copy.client.renewCertificate({ csr: derOf((await createHostRequest()).csr) }))).toBe(BARRED);
      expect(await reasonOf(copy.client.issueInstanceToken({ instanceId: `i-${"0".repeat(32)}` }))).toBe(BARRED);
    }
    await elsewhere.close();
  });

  it("loses its session without the hint, and though it says nothing more", async () => {
    const host = await world.host();
    await host.disconnect();
    host.behaviour.acknowledge = false;
    await host.connect();
    const ended = host.ended();
    world.hub.fate = () => "lose";
    try {
      const begin = performance.now();
      await bar(host.hostId);
      await ended;
      expect(performance.now() - begin).toBeLessThan(10_000);
      expect(host.failure).toMatchObject({ code: Status.PERMISSION_DENIED });
    } finally {
      world.hub.fate = () => "deliver";
    }
  });

  it("does not join again with its key", async () => {
    const request = await createHostRequest();
    const internal = openChannel({ address: world.internal.address, ca: world.internal.ca, serverName: "localhost" });
    const join = async () => {
      const { token } = await world.operator.hosts.createJoinToken({ zoneId: "zone-a" });
      const machine = { csr: derOf(request.csr), name: "joins-again", substrateAddress: "198.19.0.1" };
      return internal.client(HostFeedServiceDefinition).join({ token, ...machine });
    };
    const { hostId } = await join();
    await bar(hostId);
    expect(await reasonOf(join())).toBe(BARRED);
    await unbar(hostId);
    expect((await join()).hostId).toBe(hostId);
    internal.close();
  });

  it("is shown with the reason, to the audit too, and takes another one", async () => {
    const { hostId } = await world.host();
    await bar(hostId, "first");
    const since = (await bar(hostId, "second")).host?.conditions[0];
    expect(since).toMatchObject({ type: "Barred", message: "second" });
    expect((await seen(hostId))?.conditions[0]).toEqual(since);
    const { entries } = await (await world.client(AuditServiceDefinition)).listAuditEntries({ resourceId: hostId, action: "host:BarHost" });
    expect(entries.map(({ details }) => details["reason"])).toEqual(["second", "first"]);
    expect(await reasonOf(bar(hostId, ""))).toBe("INVALID_ARGUMENT INVALID_FIELD");
    expect(await reasonOf(bar(`host-${"0".repeat(32)}`))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
  });

  it("vouches for nobody: what its instances hold counts no more", async () => {
    const zoneId = "bar-vouch";
    const host = await world.host(zoneId);
    const { accountId, clients } = await world.account();
    const principals = await world.client(PrincipalServiceDefinition);
    await principals.createPrincipal({ accountId, principalId: "owner", role: Role.OWNER });
    const { subnetId } = await world.network(clients);
    const interfaces = [{ source: { $case: "create" as const, value: { subnetId } } }];
    const { instance, operation } = await clients.instances.runInstance({ actsAs: "owner", zoneId, interfaces });
    expect(await world.finished(clients, operation?.operationId)).toBe("SUCCEEDED");
    const { token } = await host.client.issueInstanceToken({ instanceId: instance?.instanceId });
    const guest = world.bearing(token);
    expect(await guest.client(TokenServiceDefinition).whoAmI({})).toMatchObject({ principalId: "owner" });
    // A write that rests on it and got there first is waited for: none commits after the bar.
    const { generation, instanceId } = instance ?? {};
    const write = await holdOpen(world.db.kysely, (tx) =>
      sql`SELECT instance_acts(${instanceId}, ${host.hostId}, ${generation}::bigint, ${accountId}, 'owner', now(), true)`.execute(tx),
    );
    let barred = false;
    const barring = bar(host.hostId).then(() => (barred = true));
    await lockAwaited(world.db.kysely);
    expect(barred).toBe(false);
    await Promise.all([write.release(), barring]);
    const ended = "UNAUTHENTICATED INSTANCE_TOKEN_ENDED";
    expect(await reasonOf(guest.client(TokenServiceDefinition).whoAmI({}))).toBe(ended);
    // Nor does it get anything new.
    expect(await reasonOf(clients.instances.runInstance({ zoneId, interfaces }))).toBe("FAILED_PRECONDITION NO_HOST");
  });

  it("is forced off without its lease; another host that has not heard of it is waited for", async () => {
    const at = await scene(world);
    at.other.behaviour.acknowledge = false;
    const other = await at.clients.interfaces.createInterface({ spec: { subnetId: at.subnetId } });
    expect(await reasonOf(detach(at, { force: true }))).toBe("FAILED_PRECONDITION WRONG_STATE");
    await bar(at.lost.hostId);
    const spec = { interfaceId: other.interface?.interfaceId, instanceId: at.instanceId };
    expect(await reasonOf(at.clients.interfaces.attachInterface({ spec }))).toBe("FAILED_PRECONDITION WRONG_STATE");
    expect((await detach(at, { force: true }))?.state).toBe(AttachmentState.DETACHING);
    const ending = detach(at, { force: true, wait: 10 });
    await catchUp(world, at.other, at.networkId);
    const attachment = await ending;
    expect(attachment?.state).toBe(AttachmentState.DETACHED);
    expect(detached(attachment)?.reason).toBe("Forced");
    await at.clients.instances.stopInstance({ instanceId: at.instanceId, force: true });
    const state = async () => (await at.clients.instances.getInstance({ instanceId: at.instanceId })).instance?.state;
    await expect.poll(state).toBe(InstanceState.STOPPED);
  });

  it("connects again once it is unbarred, and is told to let go of what was forced off it", async () => {
    const at = await scene(world);
    await bar(at.lost.hostId);
    const ending = detach(at, { force: true, wait: 10 });
    await expect.poll(() => world.operatorMappings(at.networkId)).toHaveLength(1);
    await catchUp(world, at.other, at.networkId);
    expect((await ending)?.state).toBe(AttachmentState.DETACHED);
    await at.lost.ended();
    expect((await unbar(at.lost.hostId)).host?.state).toBe(HostState.DISCONNECTED);
    await at.lost.connect();
    expect((await seen(at.lost.hostId))?.state).toBe(HostState.CONNECTED);
    expect([...at.lost.attachments.values()].map(({ wanted }) => wanted)).toEqual([Wanted.ABSENT]);
    const { attachmentId } = (await ending) ?? {};
    const reason = async () => detached((await at.clients.interfaces.getAttachment({ attachmentId })).attachment)?.reason;
    await expect.poll(reason).toBe("Applied");
  });
});
