import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { PrincipalServiceDefinition } from "#gen/plenum/identity/v1/principal.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { AttachmentState } from "#gen/plenum/nivc/v1/interface.ts";
import { WaitFor } from "#gen/plenum/nivc/v1/interface_service.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { Watcher } from "./watcher.ts";
import { startWorld } from "./world.ts";
import type { Clients, World } from "./world.ts";

/** The contract's ten seconds, and time for a machine that is busy. */
const WITHIN_MS = 15_000;
/** Of one account. */
const MAX_WATCHES = 4;

let world: World;
beforeAll(async () => {
  vi.stubEnv("PLENUM_COORDINATOR_MAX_WATCHES", String(MAX_WATCHES));
  world = await startWorld();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await world.stop();
});

const open: Watcher[] = [];
const watch = (...given: ConstructorParameters<typeof Watcher>): Watcher => {
  const made = new Watcher(...given);
  open.push(made);
  return made;
};
afterEach(async () => {
  for (const watcher of open.splice(0)) await watcher.close();
});

async function create(clients: Clients, subnetId: string, more: object = {}): Promise<string> {
  return (await clients.interfaces.createInterface({ spec: { subnetId, ...more } })).interface?.interfaceId ?? "";
}

async function at() {
  const { accountId, clients } = await world.account();
  const net = await world.network(clients);
  return { accountId, clients, ...net };
}

const synced = async (watcher: Watcher): Promise<Watcher> => {
  await watcher.until(() => watcher.inSync && watcher.token !== "");
  return watcher;
};

describe("a watch", () => {
  test("begins with what there is, and goes on with what happens", async () => {
    const { clients, subnetId } = await at();
    const first = await create(clients, subnetId);
    const watcher = await synced(watch(clients));
    expect(watcher.kinds()).toEqual(["snapshot", "inSync", "bookmark"]);
    expect([...watcher.records.keys()]).toEqual([first]);
    const second = await create(clients, subnetId);
    await watcher.until(() => watcher.records.has(second));
    await clients.interfaces.updateInterface({ interface: { interfaceId: first, tags: { a: "b" } }, updateMask: ["tags"] });
    await watcher.until(() => watcher.records.get(first)?.tags["a"] === "b");
    expect(watcher.records.get(first)).toEqual((await clients.interfaces.getInterface({ interfaceId: first })).interface);
    await clients.interfaces.deleteInterface({ interfaceId: second });
    await watcher.until(() => !watcher.records.has(second));
    expect(watcher.kinds().filter((kind) => kind === "snapshot" || kind === "historyGone")).toEqual(["snapshot"]);
  });

  test("tells what hosts acknowledge, and a start and a stop of the instance", async () => {
    const { clients, subnetId } = await at();
    const host = await world.host();
    const { instance } = await clients.instances.runInstance({ interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
    const instanceId = instance?.instanceId ?? "";
    const interfaceId = await create(clients, subnetId);
    const watcher = await synced(watch(clients));
    const state = () => watcher.records.get(interfaceId)?.attachments[0]?.state;
    await clients.interfaces.attachInterface({ spec: { interfaceId, instanceId }, wait: WaitFor.COMMITTED });
    await watcher.until(() => state() === AttachmentState.ATTACHED);
    await clients.instances.stopInstance({ instanceId });
    await watcher.until(() => watcher.records.get(interfaceId)?.attachments[0]?.hostId === "");
    await clients.instances.startInstance({ instanceId });
    await watcher.until(() => watcher.records.get(interfaceId)?.attachments[0]?.hostId === host.hostId);
    await clients.interfaces.detachInterface({ target: { $case: "interfaceId", value: interfaceId } });
    await watcher.until(() => watcher.records.get(interfaceId)?.attachments.length === 0);
    await host.close();
  });

  test("tells conditions that come true by what other hosts say", async () => {
    const { clients, subnetId, networkId } = await at();
    const host = await world.host();
    const { instance } = await clients.instances.runInstance({ interfaces: [{ source: { $case: "create", value: { subnetId } } }] });
    expect(instance?.instanceId).toMatch(/^i-/);
    const watcher = await synced(watch(clients));
    const reachable = () => [...watcher.records.values()][0]?.attachments[0]?.conditions.find((c) => c.type === "Reachable")?.reason;
    await watcher.until(() => reachable() === "HostsBehind");
    host.behaviour.networkVersions.set(networkId, await world.level(`network:${networkId}`));
    host.acknowledge();
    await watcher.until(() => reachable() === "AllHostsApplied", 15_000);
    await host.close();
  }, 30_000);

  test("holds only what the filter shows, and lets go of what leaves it", async () => {
    const { accountId, clients, subnetId, vpcId } = await at();
    const other = await world.network(clients, "10.1.0.0/16", "10.1.1.0/24");
    const mine = await create(clients, subnetId);
    await create(clients, other.subnetId);
    const bySubnet = await synced(watch(clients, { filter: { subnetId } }));
    const byOwner = await synced(watch(world.operator, { filter: { ownerAccount: accountId, vpcId } }));
    await create(clients, other.subnetId);
    const late = await create(clients, subnetId);
    for (const watcher of [bySubnet, byOwner]) {
      await watcher.until(() => watcher.records.has(late));
      expect([...watcher.records.keys()].sort()).toEqual([mine, late].sort());
      expect(watcher.kinds()).not.toContain("deleted");
    }
    const { instance } = await clients.instances.runInstance({
      stopped: true,
      interfaces: [{ source: { $case: "interfaceId", value: late } }],
    });
    const available = await synced(watch(clients, { filter: { state: 1 } }));
    expect(available.records.has(late)).toBe(false);
    await clients.interfaces.attachInterface({
      spec: { interfaceId: mine, instanceId: instance?.instanceId },
      wait: WaitFor.COMMITTED,
    });
    await available.until(() => !available.records.has(mine));
  });

  test("refuses nonsense, strangers' tokens, hosts, and an operator who names nobody", async () => {
    const { clients, subnetId } = await at();
    const refused = async (...given: ConstructorParameters<typeof Watcher>) => {
      const failure = callFailure(await watch(...given).ended());
      return [failure?.status, failure?.violations[0]?.field ?? failure?.reason];
    };
    const { token } = await synced(watch(clients));
    const stranger = await world.account();
    expect(await refused(clients, { resumeToken: "forged" })).toEqual(["INVALID_ARGUMENT", "resume_token"]);
    expect(await refused(clients, { resumeToken: token, filter: { subnetId } })).toEqual(["INVALID_ARGUMENT", "resume_token"]);
    expect(await refused(stranger.clients, { resumeToken: token })).toEqual(["INVALID_ARGUMENT", "resume_token"]);
    expect(await refused(clients, { filter: { vpcId: "x" } })).toEqual(["INVALID_ARGUMENT", "filter.vpc_id"]);
    expect(await refused(world.operator)).toEqual(["INVALID_ARGUMENT", "filter.owner_account"]);
  });
});

describe("what is shared", () => {
  test("comes with a consent, changes with its owner's doing, and goes with the consent", async () => {
    const owner = await at();
    const guest = await at();
    const own = await create(guest.clients, guest.subnetId);
    const watcher = await synced(watch(guest.clients));
    const interfaceId = await create(owner.clients, owner.subnetId);
    const access = { attachers: [{ accountId: guest.accountId }] };
    const share = (given: object) =>
      owner.clients.interfaces.updateInterface({ interface: { interfaceId, access: given }, updateMask: ["access"] });
    await share(access);
    await watcher.until(() => watcher.records.has(interfaceId));
    await owner.clients.interfaces.updateInterface({ interface: { interfaceId, description: "seen" }, updateMask: ["description"] });
    await watcher.until(() => watcher.records.get(interfaceId)?.description === "seen");
    const private_ = await create(owner.clients, owner.subnetId);
    await share({});
    await watcher.until(() => !watcher.records.has(interfaceId));
    await owner.clients.interfaces.updateInterface({ interface: { interfaceId, description: "unseen" }, updateMask: ["description"] });
    const later = await create(guest.clients, guest.subnetId);
    await watcher.until(() => watcher.records.has(later));
    expect([...watcher.records.keys()].sort()).toEqual([own, later].sort());
    expect(JSON.stringify(watcher.events, (_k, v: unknown) => (typeof v === "bigint" ? String(v) : v))).not.toMatch(private_);
    expect(JSON.stringify(watcher.events, (_k, v: unknown) => (typeof v === "bigint" ? String(v) : v))).not.toMatch("unseen");
  });

  test("ends with the time that was given, also for who was away then", async () => {
    const owner = await at();
    const guest = await at();
    const access = { modifiers: [{ accountId: guest.accountId }] };
    const interfaceId = await create(owner.clients, owner.subnetId, { access });
    const away = await synced(watch(guest.clients));
    expect(away.records.has(interfaceId)).toBe(true);
    await away.close();
    const end = (seconds: number) =>
      sql`UPDATE consent SET valid_until = clock_timestamp() + ${seconds} * interval '1 second' WHERE resource_id = ${interfaceId}`.execute(
        world.db.kysely,
      );
    await end(0.2);
    const there = watch(guest.clients, { resumeToken: away.token }, away.records);
    await there.until(() => !there.records.has(interfaceId), 15_000);
    await there.close();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const back = await synced(watch(guest.clients, { resumeToken: away.token }, away.records));
    expect(back.kinds()).not.toContain("snapshot");
    expect(back.records.has(interfaceId)).toBe(false);
  }, 30_000);
});

describe("who was away", () => {
  test("gets exactly what was missed", async () => {
    const { clients, subnetId } = await at();
    const [kept, gone, changed] = [await create(clients, subnetId), await create(clients, subnetId), await create(clients, subnetId)];
    const before = await synced(watch(clients));
    await before.close();
    await clients.interfaces.deleteInterface({ interfaceId: gone });
    await clients.interfaces.updateInterface({ interface: { interfaceId: changed, description: "x" }, updateMask: ["description"] });
    const made = await create(clients, subnetId);
    await world.restart();
    const after = await synced(watch(clients, { resumeToken: before.token }, before.records));
    expect(
      after.events.flatMap((event) => (event.$case === "upserted" ? event.value.interfaces.map((one) => one.interfaceId) : [])).sort(),
    ).toEqual([changed, made].sort());
    expect(after.events.flatMap((event) => (event.$case === "deleted" ? event.value.interfaceIds : []))).toEqual([gone]);
    expect(after.events.some((event) => event.$case === "snapshot" || event.$case === "historyGone")).toBe(false);
    expect([...after.records.keys()].sort()).toEqual([kept, changed, made].sort());
  });

  test("is told that the history is gone, and gets a snapshot", async () => {
    const { accountId, clients, subnetId } = await at();
    const gone = await create(clients, subnetId);
    const before = await synced(watch(clients));
    await before.close();
    await clients.interfaces.deleteInterface({ interfaceId: gone });
    const made = await create(clients, subnetId);
    await sql`DELETE FROM change WHERE scope LIKE ${`watch:${accountId}/%`}`.execute(world.db.kysely);
    const after = await synced(watch(clients, { resumeToken: before.token }, before.records));
    expect(after.kinds()).toEqual(["historyGone", "snapshot", "inSync", "bookmark"]);
    expect([...after.records.keys()]).toEqual([made]);
    // The same version of another history: a database that was set back.
    await after.close();
    await sql`UPDATE scope SET mark = mark + 1 WHERE scope LIKE ${`watch:${accountId}/%`}`.execute(world.db.kysely);
    const other = await synced(watch(clients, { resumeToken: after.token }, after.records));
    expect(other.kinds()).toEqual(["historyGone", "snapshot", "inSync", "bookmark"]);
  });
});

describe("a right that ends", () => {
  test.concurrent.each([
    ["a disabled principal", "UNAUTHENTICATED PRINCIPAL_DISABLED", "disablePrincipal"],
    ["tokens that are revoked", "UNAUTHENTICATED TOKENS_REVOKED", "revokeTokens"],
    ["a suspended account", "PERMISSION_DENIED ACCOUNT_SUSPENDED", undefined],
  ] as const)(
    "ends the stream as a new call is refused, in the time that the contract says, though nothing happens: %s",
    async (_title, refusal, revocation) => {
      const { accountId } = await at();
      const key = { accountId, principalId: "bob" };
      const principals = await world.client(PrincipalServiceDefinition);
      await principals.createPrincipal({ ...key, role: Role.VIEWER });
      const clients = await world.as({ role: "viewer", ...key });
      const watcher = new Watcher(clients); // not the others' to close: tests run side by side here
      await synced(watcher);
      const from = performance.now();
      if (revocation === undefined) await world.operator.accounts.suspendAccount({ accountId });
      else await principals[revocation](key);
      const failure = callFailure(await watcher.ended());
      expect(performance.now() - from).toBeLessThan(WITHIN_MS);
      const later = new Watcher(clients);
      expect(failure).toEqual(callFailure(await later.ended()));
      await Promise.all([watcher.close(), later.close()]);
      expect(`${failure?.status} ${failure?.reason}`).toBe(refusal);
    },
    30_000,
  );

  test("is bounded: more watches than an account may have are refused; each that ends makes room, also one that nobody reads", async () => {
    const { clients, subnetId } = await at();
    // More than a connection's buffers hold: their streams stand still.
    const tags = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`key-${n}`, "v".repeat(250)]));
    await clients.interfaces.batchCreateInterfaces({ specs: Array.from({ length: 240 }, () => ({ subnetId, tags })) });
    const round = async (): Promise<void> => {
      const stuck = Array.from({ length: MAX_WATCHES }, () => watch(clients));
      for (const one of stuck) one.pause();
      for (const one of stuck) await one.until(() => one.events.length > 0);
      const failure = callFailure(await watch(clients).ended());
      expect(failure).toMatchObject({ status: "RESOURCE_EXHAUSTED", reason: "LIMIT_EXCEEDED", facts: { limit: String(MAX_WATCHES) } });
      for (const one of stuck) await one.cut();
    };
    await round();
    await expect
      .poll(
        async () => {
          const later = Array.from({ length: MAX_WATCHES }, () => watch(clients));
          const seen = await Promise.allSettled(later.map((one) => one.until(() => one.inSync)));
          for (const one of later) await one.close();
          return seen.every(({ status }) => status === "fulfilled");
        },
        { timeout: 30_000 },
      )
      .toBe(true);
  }, 60_000);
});
