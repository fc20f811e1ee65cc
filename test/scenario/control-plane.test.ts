import { setTimeout as delay } from "node:timers/promises";
import { RetryInfo, RichClientError } from "nice-grpc-error-details";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunInstanceResponse } from "#gen/plenum/compute/v1/instance.ts";
import { AccountState } from "#gen/plenum/identity/v1/account.ts";
import { QuotaServiceDefinition } from "#gen/plenum/identity/v1/quota.ts";
import { Role } from "#gen/plenum/identity/v1/token.ts";
import { OperationState } from "#gen/plenum/operation/v1/operation.ts";
import { callFailure } from "#lib/rpc/client-error.ts";
import { openChannel } from "#lib/rpc/rpc.ts";
import { finished, install, makeNetwork, runGuest } from "./support/installation.ts";
import type { Clients, Guest, Installation, Network } from "./support/installation.ts";
import { ping } from "./support/traffic.ts";

// B9: the tier that takes calls holds each caller and each account to a measure, and keeps nothing itself: what it has taken is in the
// administration's store, and outlives it.

const CALLS_PER_SECOND = 50;
/** Refusals that a flood must meet; a busy machine takes longer to send as much. */
const REFUSALS = 100;
const ITEMS_PER_SECOND = 100;
/** Of a flood; each has one call on its way. */
const LOOPS = 8;

let at: Installation;
let owner: { accountId: string; token: string; clients: Clients };
let other: { accountId: string; clients: Clients };
let network: Network;
let guest: Guest;

const SETTINGS = { PLENUM_CALLS_PER_SECOND: String(CALLS_PER_SECOND), PLENUM_ACCOUNT_ITEMS_PER_SECOND: String(ITEMS_PER_SECOND) };

beforeAll(async () => {
  const before = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, process.env[name]]));
  Object.assign(process.env, SETTINGS);
  try {
    at = await install();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
  [owner, other] = [await at.account(), await at.account()];
  network = await makeNetwork(owner.clients, "10.0.0.0/16", "10.0.0.0/20");
  guest = await runGuest(at, owner, network, { host: 0 });
}, 180_000);
afterAll(async () => await at?.stop());

/** Milliseconds after which a refused call may be repeated; undefined: it was not refused. */
async function refusedFor(call: Promise<unknown>, bound: string): Promise<number | undefined> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const failure = callFailure(error);
  if (failure === undefined) return undefined;
  expect(failure).toMatchObject({ status: "RESOURCE_EXHAUSTED", reason: "RATE_LIMITED", facts: { bound } });
  const waitMs = Number(failure.facts["retry_after_ms"]);
  expect(waitMs).toBeGreaterThan(0);
  expect(failure.message).toContain(`repeat after ${waitMs} ms`);
  const details = error instanceof RichClientError ? error.extra : [];
  const delays = details.flatMap((detail) => (detail.$type === RetryInfo.$type ? [(detail as RetryInfo).retryDelay] : []));
  expect(delays.map((one) => (one?.seconds ?? 0) * 1_000 + (one?.nanos ?? 0) / 1_000_000)).toEqual([waitMs]);
  return waitMs;
}

describe("a caller above its measure", () => {
  it("is told when to come back, and let in then; others are served meanwhile, and so is its account's other principal", async () => {
    const { token } = await at.operator.tokens.issueToken({ accountId: owner.accountId, principalId: "second", role: Role.OWNER });
    const second = at.clientsFor(token);
    let run = true;
    let letIn = 0;
    const waits: number[] = [];
    const flood = Array.from({ length: LOOPS }, async () => {
      while (run || waits.length <= REFUSALS) {
        const waitMs = await refusedFor(owner.clients.vpcs.listVpcs({}), "principal");
        if (waitMs === undefined) letIn += 1;
        else waits.push(waitMs);
      }
    });
    const start = performance.now();
    // How many of the flood's calls were answered while one of another account's was on its way, and none of these is refused.
    const overtaken: number[] = [];
    for (let call = 0; call < 60; call += 1) {
      const before = letIn + waits.length;
      await other.clients.vpcs.listVpcs({});
      overtaken.push(letIn + waits.length - before);
      await delay(25); // below its own measure
    }
    await second.vpcs.listVpcs({});
    run = false;
    await Promise.all(flood);
    const seconds = (performance.now() - start) / 1_000;
    const median = overtaken.toSorted((a, b) => a - b)[30]!;
    console.info(
      `in ${seconds.toFixed(1)} s ${letIn} calls were let in and ${waits.length} refused, ${median} of them during each of another's`,
    );
    expect(waits.length).toBeGreaterThan(REFUSALS);
    // The burst, and the measure since; one more for each that was on its way.
    expect(letIn).toBeLessThanOrEqual(2 * CALLS_PER_SECOND + CALLS_PER_SECOND * (seconds + 1) + LOOPS);
    // Refusing takes time of the same processors, here the callers' own as well: another's call takes longer, but does not wait for the flood.
    expect(median).toBeLessThan(20 * LOOPS);
    await delay(Math.max(...waits));
    expect(await refusedFor(owner.clients.vpcs.listVpcs({}), "principal")).toBeUndefined();
    await delay(1_000); // what follows has calls enough
  }, 60_000);

  it("is its whole account where items count: a batch too many is refused whole, told when, and made then", async () => {
    const batch = (count: number) => {
      const specs = Array.from({ length: count }, () => ({ subnetId: network.subnetId, description: "of a batch" }));
      return owner.clients.interfaces.batchCreateInterfaces({ specs });
    };
    const count = async () =>
      (await owner.clients.interfaces.listInterfaces({ filter: { subnetId: network.subnetId }, pageSize: 1_000 })).interfaces.length;
    const before = await count();
    // Ten times the measure are let in at once.
    await batch(5 * ITEMS_PER_SECOND);
    const waitMs = await refusedFor(batch(9 * ITEMS_PER_SECOND), "account");
    expect(waitMs).toBeDefined();
    expect(await count()).toBe(before + 5 * ITEMS_PER_SECOND);
    await other.clients.vpcs.listVpcs({});
    await delay(waitMs! + 200);
    expect(await refusedFor(batch(ITEMS_PER_SECOND), "account")).toBeUndefined();
  }, 60_000);
});

describe("what was taken", () => {
  it("is in the store: accounts, quotas, cordons, records and an operation in progress outlive the tier, and the operation ends", async () => {
    const quotas = (() => {
      const channel = openChannel({ address: at.cluster.endpoint, ca: at.cluster.ca, token: at.cluster.operatorToken });
      return { client: channel.client(QuotaServiceDefinition), close: () => channel.close() };
    })();
    const { accountId } = other;
    const [first, second] = at.cluster.hosts;
    let { instance, operation }: RunInstanceResponse = { instance: undefined, operation: undefined };
    const stateOf = async () => (await owner.clients.operations.getOperation({ operationId: operation!.operationId })).operation!.state;
    await quotas.client.setQuota({ accountId, name: "vpcs", maximum: 3n });
    await at.operator.accounts.suspendAccount({ accountId });
    await at.operator.hosts.updateHost({ host: { hostId: first!.hostId, schedulable: false }, updateMask: ["schedulable"] });
    const page = await owner.clients.interfaces.listInterfaces({ pageSize: 3 });

    // Its host does not hear of it: the operation is under way while the tier dies.
    const source = { $case: "create" as const, value: { subnetId: network.subnetId, securityGroupIds: [network.openGroupId] } };
    const agent = second!.agentPid!;
    process.kill(agent, "SIGSTOP");
    try {
      const run = { ownerAccount: owner.accountId, hostId: second!.hostId, interfaces: [{ source }] };
      ({ instance, operation } = await at.operator.instances.runInstance(run));
      expect(await stateOf()).toBe(OperationState.RUNNING);
      await at.cluster.killControlPlane("SIGKILL");
      expect(await stateOf()).toBe(OperationState.RUNNING);
    } finally {
      process.kill(agent, "SIGCONT");
    }
    await finished(owner.clients, operation!.operationId);
    const [record] = (await owner.clients.interfaces.listInterfaces({ filter: { instanceId: instance!.instanceId } })).interfaces;
    // That it runs is its own host's word; the other one learns of it, from a mapping service that was killed as well, soon after.
    const address = record!.privateAddresses[0]!;
    await expect.poll(async () => (await ping(guest.netns, address, 1)).received, { timeout: 15_000 }).toBe(1);
    expect(await ping(guest.netns, address)).toEqual({ sent: 5, received: 5 });

    expect((await at.operator.accounts.getAccount({ accountId })).account?.state).toBe(AccountState.SUSPENDED);
    expect(callFailure(await other.clients.vpcs.listVpcs({}).catch((error: unknown) => error))).toMatchObject({
      reason: "ACCOUNT_SUSPENDED",
    });
    const kept = (await quotas.client.getQuotas({ accountId })).quotas.find((quota) => quota.name === "vpcs");
    expect(kept).toMatchObject({ maximum: 3n, own: true });
    expect((await at.operator.hosts.getHost({ hostId: first!.hostId })).host?.schedulable).toBe(false);
    // A list goes on where the process before had left it.
    const next = await owner.clients.interfaces.listInterfaces({ pageSize: 3, pageToken: page.nextPageToken });
    expect(next.interfaces[0]!.interfaceId > page.interfaces[2]!.interfaceId).toBe(true);
    quotas.close();
  }, 120_000);
});
