import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { callFailure } from "#lib/rpc/rpc.ts";
import type { CallFailure, PlenumClient } from "#lib/rpc/rpc.ts";
import { metric, startTestCluster } from "./testing/cluster.ts";
import type { TestCluster } from "./testing/cluster.ts";
import { hostId, target } from "./testing/coordinator.ts";

const NETWORK = 41n;
const OTHER = 42n;

let cluster: TestCluster;
let operator: PlenumClient<typeof MappingServiceDefinition>;

beforeAll(async () => {
  cluster = await startTestCluster({ checkEveryMs: 50, idleMs: 200 });
  operator = await cluster.client("operator");
  await cluster.coordinator.createNetwork(NETWORK, 7);
  await cluster.coordinator.createNetwork(OTHER, 8);
  const items = Array.from({ length: 1_000 }, (_, index) => ({
    prefix: addressOf(index) + "/32",
    targets: [target(index + 1, (index % 3) + 1)],
  }));
  await cluster.coordinator.write(NETWORK, items);
  await cluster.coordinator.write(OTHER, [
    { prefix: "10.0.0.1/32", targets: [target(9_002, 2, 5), target(9_001, 1, 5)] },
    { prefix: "fd00::1/128", targets: [target(9_003)] },
  ]);
});
afterAll(() => cluster.stop());

const addressOf = (index: number): string => `10.0.${index >> 8}.${index & 255}`;

async function failureOf(call: Promise<unknown>): Promise<CallFailure | undefined> {
  return call.then(
    () => undefined,
    (error: unknown) => callFailure(error),
  );
}

test("the same address of two networks has two answers", async () => {
  expect(await operator.lookupMapping({ networkId: NETWORK, address: "10.0.0.1" })).toEqual({
    found: true,
    mapping: { networkId: NETWORK, prefix: "10.0.0.1/32", targets: [target(2, 2)] },
    version: 1n,
    vni: 7,
  });
  const other = await operator.lookupMapping({ networkId: OTHER, address: "10.0.0.1" });
  expect(other.mapping?.targets).toEqual([target(9_001, 1, 5), target(9_002, 2, 5)]);
  expect(other.vni).toBe(8);
});

test("IPv6 is found in whatever form it is written, and answered in the canonical one", async () => {
  const { found, mapping } = await operator.lookupMapping({ networkId: OTHER, address: "FD00:0:0::0001" });
  expect([found, mapping?.prefix]).toEqual([true, "fd00::1/128"]);
});

test("a negative answer says as of when", async () => {
  expect(await operator.lookupMapping({ networkId: OTHER, address: "10.9.9.9" })).toEqual({
    found: false,
    mapping: undefined,
    version: 1n,
    vni: 8,
  });
  const version = await cluster.coordinator.write(OTHER, [{ prefix: "10.9.9.9/32", targets: [target(1)] }]);
  await vi.waitFor(async () => {
    expect(await operator.lookupMapping({ networkId: OTHER, address: "10.9.9.9" })).toMatchObject({ found: true, version });
  });
});

test("a batch of 1,000 answers in order, over several networks", async () => {
  const lookups = Array.from({ length: 1_000 }, (_, index) =>
    index % 10 === 9 ? { networkId: OTHER, address: "10.0.0.1" } : { networkId: NETWORK, address: addressOf(index) },
  );
  const { results } = await operator.batchLookupMappings({ lookups });
  expect(results.length).toBe(1_000);
  results.forEach((result, index) => {
    const expected = index % 10 === 9 ? hostId(1) : hostId((index % 3) + 1);
    expect(result.mapping?.targets[0]?.hostId).toBe(expected);
  });
  expect(new Set(results.map(({ vni, version }) => `${vni} ${version}`)).size).toBe(2);
});

test.each(["", "10.0.0.256", "10.0.0.0/24", "10.0.0.1/32", "host", "fd00::1%eth0"])(
  "the address %j is refused by field",
  async (address) => {
    const failure = await failureOf(operator.lookupMapping({ networkId: NETWORK, address }));
    expect(failure).toMatchObject({ status: "INVALID_ARGUMENT", reason: "INVALID_FIELD", facts: { field: "address" } });
  },
);

test("faults of a batch are named by index, all of them", async () => {
  const good = { networkId: NETWORK, address: "10.0.0.1" };
  const failure = await failureOf(
    operator.batchLookupMappings({ lookups: [good, { networkId: 0n, address: "10.0.0.1" }, good, { networkId: NETWORK, address: "x" }] }),
  );
  expect(failure?.status).toBe("INVALID_ARGUMENT");
  expect(failure?.violations.map(({ field }) => field)).toEqual(["lookups[1].network_id", "lookups[3].address"]);
});

test.each([0, 1_001])("a batch of %d is refused", async (length) => {
  const lookups = new Array(length).fill({ networkId: NETWORK, address: "10.0.0.1" });
  expect(await failureOf(operator.batchLookupMappings({ lookups }))).toMatchObject({
    status: "INVALID_ARGUMENT",
    facts: { field: "lookups" },
  });
});

test("a network that is none is NOT_FOUND, alone and in a batch, however large its number", async () => {
  for (const networkId of [99n, 2n ** 63n, 2n ** 64n - 1n]) {
    const expected = { status: "NOT_FOUND", reason: "RESOURCE_NOT_FOUND", facts: { kind: "network", id: String(networkId) } };
    expect(await failureOf(operator.lookupMapping({ networkId, address: "10.0.0.1" }))).toMatchObject(expected);
    const lookups = [
      { networkId: NETWORK, address: "10.0.0.1" },
      { networkId, address: "10.0.0.1" },
    ];
    expect(await failureOf(operator.batchLookupMappings({ lookups }))).toMatchObject(expected);
  }
});

test("an account's owner and a host may not look up", async () => {
  for (const client of [await cluster.client("owner"), await cluster.client("viewer"), await cluster.hostClient(1)]) {
    const request = { networkId: NETWORK, address: "10.0.0.1" };
    expect(await failureOf(client.lookupMapping(request))).toMatchObject({ status: "PERMISSION_DENIED", reason: "NOT_ALLOWED" });
    expect(await failureOf(client.batchLookupMappings({ lookups: [request] }))).toMatchObject({ status: "PERMISSION_DENIED" });
  }
});

test("a network is loaded once for many callers, leaves memory when nobody asks, and a deleted one is gone", async () => {
  await cluster.coordinator.createNetwork(43n, 9);
  await vi.waitFor(async () => expect(await metric(cluster.registry, "plenum_mapping_networks")).toBe(0));
  const before = (await metric(cluster.registry, "plenum_feed_mapping_snapshots_total")) ?? 0;
  const answers = await Promise.all(Array.from({ length: 20 }, () => operator.lookupMapping({ networkId: 43n, address: "10.0.0.1" })));
  expect(new Set(answers.map(({ found, version }) => `${found} ${version}`))).toEqual(new Set(["false 0"]));
  expect(await metric(cluster.registry, "plenum_feed_mapping_snapshots_total")).toBe(before + 1);
  await cluster.coordinator.deleteNetwork(43n);
  await vi.waitFor(async () => {
    const failure = await failureOf(operator.lookupMapping({ networkId: 43n, address: "10.0.0.1" }));
    expect(failure?.status).toBe("NOT_FOUND");
  }, 5_000);
});

test("an operator whose tokens were revoked, or who was disabled, looks up nothing from then on", async () => {
  const ask = (client: typeof operator) => client.lookupMapping({ networkId: NETWORK, address: "10.0.0.1" });
  for (const [how, reason] of [
    ["revoked", "TOKENS_REVOKED"],
    ["disabled", "PRINCIPAL_DISABLED"],
  ] as const) {
    for (const hinted of [true, false]) {
      const name = `${how}-${hinted}`;
      const client = await cluster.client("operator", name);
      expect((await ask(client)).found).toBe(true);
      await cluster.coordinator.bar(name, how, hinted);
      await vi.waitFor(async () => expect(await failureOf(ask(client))).toMatchObject({ status: "UNAUTHENTICATED", reason }));
      expect(await failureOf(client.batchLookupMappings({ lookups: [{ networkId: NETWORK, address: "10.0.0.1" }] }))).toMatchObject({
        reason,
      });
      if (how === "revoked") expect((await ask(await cluster.client("operator", name))).found).toBe(true);
    }
  }
  expect((await ask(operator)).found).toBe(true);
});
