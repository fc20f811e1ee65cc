import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FileDescriptorSet } from "#gen/google/protobuf/descriptor.ts";
import { AuditDecision } from "#gen/plenum/audit/v1/audit.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { callFailure } from "#lib/rpc/rpc.ts";
import { root } from "../rules/repository.ts";
import { install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";

// Rows B8, N7, N14 and the rule that bad input gets a clear error: every RPC of the API listener, from the outside.

let at: Installation;
let owner: { accountId: string; token: string; clients: Clients };
let stranger: { accountId: string; token: string; clients: Clients };
let network: Network;
let guest: Guest;
let raw: Client;

interface Method {
  path: string;
  streams: boolean;
}
const described = FileDescriptorSet.decode(readFileSync(join(root, "gen/plenum.binpb"))).file;
const methods: Method[] = described
  .filter((f) => f.package?.startsWith("plenum.") === true)
  .flatMap((f) =>
    f.service.flatMap((s) =>
      s.method.map((m) => ({
        path: `/${f.package}.${s.name}/${m.name}`,
        streams: m.clientStreaming === true || m.serverStreaming === true,
      })),
    ),
  );
/** Served on the internal listener only (design, layout of the contract). */
const internal = /HostFeedService|WatchMappings/;
const unary = methods.filter((m) => !m.streams && !internal.test(m.path));

beforeAll(async () => {
  at = await install();
  owner = await at.account();
  stranger = await at.account();
  network = await makeNetwork(owner.clients);
  guest = await runGuest(at, owner, network, { host: 0 });
  raw = new Client(at.cluster.endpoint, credentials.createSsl(Buffer.from(at.cluster.ca)), {
    "grpc.ssl_target_name_override": "localhost",
  });
}, 180_000);
afterAll(async () => {
  raw?.close();
  await at?.stop();
});

/** Sends bytes as they are; answers the status code and the message. */
function send(path: string, bytes: Buffer, token?: string): Promise<{ code: number; message: string }> {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return new Promise((resolve) => {
    raw.makeUnaryRequest(
      path,
      (b: Buffer) => b,
      (b: Buffer) => b,
      bytes,
      metadata,
      { deadline: Date.now() + 20_000 },
      (error) => {
        resolve(error === null ? { code: 0, message: "" } : { code: error.code, message: error.details });
      },
    );
  });
}
/** The same from an address that nobody knows, whose calls are bounded to some a second: asks again when told to. */
async function sendPatiently(path: string, bytes: Buffer, token?: string): Promise<{ code: number; message: string }> {
  for (;;) {
    const answer = await send(path, bytes, token);
    if (answer.code !== RESOURCE_EXHAUSTED) return answer;
    await delay(100);
  }
}
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
const UNAUTHENTICATED = 16;
const bugs = [2, 13]; // UNKNOWN, INTERNAL

describe("every RPC", () => {
  it("is there to be asked", () => expect(unary.length).toBeGreaterThan(35));

  it("answers INVALID_ARGUMENT to bytes that do not decode", async () => {
    for (const { path } of unary) {
      // Field 1, length-delimited, 127 bytes announced, 2 there.
      const answer = await send(path, Buffer.from([0x0a, 0x7f, 0x01, 0x02]), at.cluster.operatorToken);
      expect({ path, ...answer }).toMatchObject({ path, code: INVALID_ARGUMENT });
    }
  });

  it("answers UNAUTHENTICATED to nobody and to a forged token", async () => {
    const forged = `${owner.token.slice(0, -6)}AAAAAA`;
    for (const { path } of unary) {
      expect({ path, ...(await sendPatiently(path, Buffer.alloc(0))) }).toMatchObject({ path, code: UNAUTHENTICATED });
      expect({ path, ...(await sendPatiently(path, Buffer.alloc(0), forged)) }).toMatchObject({ path, code: UNAUTHENTICATED });
    }
  });

  it("never answers INTERNAL or UNKNOWN to an empty or a random message", async () => {
    let seed = 20_111; // the same bytes in every run
    const random = () => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) >>> 8;
    for (const { path } of unary) {
      for (let i = 0; i < 12; i++) {
        const bytes = i === 0 ? Buffer.alloc(0) : Buffer.from(Array.from({ length: random() % 40 }, () => random() & 0xff));
        for (const token of [at.cluster.operatorToken, owner.token]) {
          const answer = await send(path, bytes, token);
          expect(bugs, `${path} ${bytes.toString("hex")}: ${answer.message}`).not.toContain(answer.code);
        }
      }
    }
  }, 120_000);
});

describe("another account's resources", () => {
  it("are NOT_FOUND, also when named inside another request", async () => {
    const mine = {
      vpcId: network.vpcId,
      subnetId: network.subnetId,
      securityGroupId: network.openGroupId,
      interfaceId: guest.interface.interfaceId,
      instanceId: guest.instanceId,
      attachmentId: guest.attachment.attachmentId,
    };
    const theirs = await makeNetwork(stranger.clients);
    const { interface: own } = await stranger.clients.interfaces.createInterface({ spec: { subnetId: theirs.subnetId } });
    const c = stranger.clients;
    const attempts: Record<string, () => Promise<unknown>> = {
      getVpc: () => c.vpcs.getVpc(mine),
      deleteVpc: () => c.vpcs.deleteVpc(mine),
      getSubnet: () => c.subnets.getSubnet(mine),
      createSubnet: () => c.subnets.createSubnet({ vpcId: mine.vpcId, cidrBlock: "10.0.9.0/24" }),
      deleteSubnet: () => c.subnets.deleteSubnet(mine),
      getGroup: () => c.groups.getSecurityGroup(mine),
      replaceRules: () => c.groups.replaceSecurityGroupRules(mine),
      createGroup: () => c.groups.createSecurityGroup({ vpcId: mine.vpcId, name: "theirs" }),
      getInterface: () => c.interfaces.getInterface(mine),
      createInterface: () => c.interfaces.createInterface({ spec: { subnetId: mine.subnetId } }),
      createWithGroup: () =>
        c.interfaces.createInterface({ spec: { subnetId: theirs.subnetId, securityGroupIds: [mine.securityGroupId] } }),
      updateInterface: () =>
        c.interfaces.updateInterface({ interface: { interfaceId: mine.interfaceId, description: "x" }, updateMask: ["description"] }),
      deleteInterface: () => c.interfaces.deleteInterface(mine),
      attachTheirs: () => c.interfaces.attachInterface({ spec: { interfaceId: own!.interfaceId, instanceId: mine.instanceId } }),
      attachMine: () => c.interfaces.attachInterface({ spec: { interfaceId: mine.interfaceId, instanceId: mine.instanceId } }),
      detach: () => c.interfaces.detachInterface({ target: { $case: "interfaceId", value: mine.interfaceId } }),
      detachAll: () => c.interfaces.detachInterface({ target: { $case: "instanceId", value: mine.instanceId } }),
      getAttachment: () => c.interfaces.getAttachment(mine),
      getInstance: () => c.instances.getInstance(mine),
      stop: () => c.instances.stopInstance(mine),
      start: () => c.instances.startInstance(mine),
      terminate: () => c.instances.terminateInstance(mine),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      const failure = callFailure(await attempt().catch((e: unknown) => e));
      expect({ name, status: failure?.status, reason: failure?.reason }).toEqual({
        name,
        status: "NOT_FOUND",
        reason: "RESOURCE_NOT_FOUND",
      });
    }
    expect((await c.interfaces.listInterfaces({})).interfaces.map((i) => i.interfaceId)).toEqual([own!.interfaceId]);
    expect((await c.instances.listInstances({})).instances).toEqual([]);
    // The control: to their owner the same calls answer.
    expect((await owner.clients.interfaces.getInterface(mine)).interface!.interfaceId).toBe(mine.interfaceId);
  });

  it("leave a trace in the audit that the owner's operator can read", async () => {
    await stranger.clients.interfaces.deleteInterface({ interfaceId: guest.interface.interfaceId }).catch(() => undefined);
    const { entries } = await at.operator.audit.listAuditEntries({
      resourceId: guest.interface.interfaceId,
      decision: AuditDecision.REFUSED,
    });
    expect(entries[0]).toMatchObject({ action: "nivc:DeleteInterface", accountId: stranger.accountId, decision: AuditDecision.REFUSED });
  });
});

describe("refusals", () => {
  it("tell a viewer that it may see and not change", async () => {
    const { token } = await owner.clients.tokens.issueToken({ accountId: owner.accountId, principalId: "reader", role: Role.VIEWER });
    const viewer = at.clientsFor(token);
    expect((await viewer.vpcs.getVpc({ vpcId: network.vpcId })).vpc!.vpcId).toBe(network.vpcId);
    const failure = callFailure(await viewer.vpcs.deleteVpc({ vpcId: network.vpcId }).catch((e: unknown) => e));
    expect(failure).toMatchObject({ status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" });
  });

  it("name the field, the fact and the remedy", async () => {
    const failure = callFailure(
      await owner.clients.vpcs.createVpc({ cidrBlock: "10.0.0.7/16", firstSubnet: { cidrBlock: "10.0.1.0/24" } }).catch((e: unknown) => e),
    );
    expect(failure).toMatchObject({ status: "INVALID_ARGUMENT", reason: "INVALID_FIELD" });
    expect(failure!.violations.map((v) => v.field)).toContain("cidr_block");
    expect(failure!.message).toContain("10.0.0.7/16");
  });

  it("name what still stands in the way of a deletion", async () => {
    const failure = callFailure(
      await owner.clients.interfaces.deleteInterface({ interfaceId: guest.interface.interfaceId }).catch((e: unknown) => e),
    );
    expect(failure).toMatchObject({ status: "FAILED_PRECONDITION", reason: "HAS_DEPENDANTS" });
    expect(failure!.facts["blockers"]).toContain(guest.attachment.attachmentId);
  });

  it("start no instance without an interface", async () => {
    const failure = callFailure(await owner.clients.instances.runInstance({ name: "bare" }).catch((e: unknown) => e));
    expect(failure).toMatchObject({ status: "FAILED_PRECONDITION", reason: "NO_INTERFACE" });
  });
});
