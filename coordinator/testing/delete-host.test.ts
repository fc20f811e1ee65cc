import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HostFeedServiceDefinition } from "#gen/plenum/host/v1/host_feed.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { createHostRequest } from "#lib/auth/ca.ts";
import { derOf } from "#lib/auth/pem.ts";
import { openChannel } from "#lib/rpc/client.ts";
import { catchUp, detach, detached, scene } from "./force-scene.ts";
import { reasonOf, refusalOfCall } from "./refusal.ts";
import { startWorld } from "./world.ts";
import type { World } from "./world.ts";

// A host that is gone for good: what keeps its record, what is left of it, and that it does not come back.

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

const bar = (hostId: string) => world.operator.hosts.barHost({ hostId, reason: "its key was copied" });
const remove = (hostId: string) => world.operator.hosts.deleteHost({ hostId });
const residue = async (hostId: string) =>
  (await sql`SELECT FROM attachment_residue WHERE host_id = ${hostId}`.execute(world.db.kysely)).rows.length;

describe("a host", () => {
  it("is deleted when barred, with nothing on it, and nobody who may take its packets", async () => {
    const at = await scene(world);
    const { hostId } = at.lost;
    expect(await refusalOfCall(remove(hostId))).toMatchObject({ reason: "WRONG_STATE", facts: { state: "NOT_BARRED" } });
    await bar(hostId);
    const { attachment } = await at.clients.interfaces.getAttachment({
      attachmentId: (await at.clients.interfaces.getInterface({ interfaceId: at.interfaceId })).interface?.attachments[0]?.attachmentId,
    });
    const attachmentId = attachment?.attachmentId ?? "";
    const blocked = await refusalOfCall(remove(hostId));
    expect(blocked).toMatchObject({ reason: "HAS_DEPENDANTS", facts: { blockers: `${at.instanceId},${attachmentId}`, more: "0" } });

    const ending = detach(at, { force: true, wait: 10 });
    await expect.poll(() => world.operatorMappings(at.networkId)).toHaveLength(1);
    await catchUp(world, at.other, at.networkId);
    expect((await ending)?.state).toBe(AttachmentState.DETACHED);
    await at.clients.instances.stopInstance({ instanceId: at.instanceId, force: true });
    // Back since, and it has not said yet that it is past the mapping.
    await at.other.disconnect();
    at.other.behaviour.networkVersions.clear();
    await at.other.connect();
    const held = async () => (await refusalOfCall(remove(hostId))).facts;
    await expect.poll(held).toMatchObject({ state: "MAPPINGS_HELD", hosts: at.other.hostId });
    expect(await residue(hostId)).toBe(1);
    await catchUp(world, at.other, at.networkId);
    await expect.poll(() => remove(hostId).then(() => "deleted", String)).toBe("deleted");

    expect(await residue(hostId)).toBe(0);
    expect(await reasonOf(world.operator.hosts.getHost({ hostId }))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    const over = (await at.clients.interfaces.getAttachment({ attachmentId })).attachment;
    expect(detached(over)?.reason).toBe("HostDeleted");
    await at.lost.ended();
    const gone = "NOT_FOUND RESOURCE_NOT_FOUND";
    expect(await reasonOf(at.lost.connect())).toBe(gone);
    const csr = derOf((await createHostRequest()).csr);
    expect(await reasonOf(at.lost.client.renewCertificate({ csr }))).toBe(gone);
    expect(await reasonOf(at.lost.client.issueInstanceToken({ instanceId: at.instanceId }))).toBe(gone);
  });

  it("joins no more by the token it had; its name and address are another's by a new one", async () => {
    const internal = openChannel({ address: world.internal.address, ca: world.internal.ca, serverName: "localhost" });
    const newToken = async () => (await world.operator.hosts.createJoinToken({ zoneId: "zone-a" })).token;
    const machine = async () => ({
      csr: derOf((await createHostRequest()).csr),
      name: "joins-no-more",
      substrateAddress: "198.19.0.2",
    });
    const [token, old] = [await newToken(), await machine()];
    const feed = internal.client(HostFeedServiceDefinition);
    const { hostId } = await feed.join({ token, ...old });
    expect((await feed.join({ token, ...old })).hostId).toBe(hostId);
    await bar(hostId);
    await remove(hostId);
    expect(await reasonOf(feed.join({ token, ...old }))).toBe("UNAUTHENTICATED BAD_JOIN_TOKEN");
    const another = await feed.join({ token: await newToken(), ...(await machine()) });
    expect(another.hostId).not.toBe(hostId);
    expect(await reasonOf(remove(hostId))).toBe("NOT_FOUND RESOURCE_NOT_FOUND");
    internal.close();
  });
});
