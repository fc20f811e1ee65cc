import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import { metric, startTestCluster } from "./testing/cluster.ts";
import type { TestCluster } from "./testing/cluster.ts";
import { target } from "./testing/coordinator.ts";
import { targetsOf } from "./testing/holding.ts";
import type { WatchingHost } from "./testing/watching-host.ts";

let cluster: TestCluster;
let networks = 1_000n;
const hosts: WatchingHost[] = [];

beforeAll(async () => {
  cluster = await startTestCluster({
    checkEveryMs: 100,
    recheckMs: 5,
    authoritySweepMs: 100,
    idleMs: 200,
    retryMs: 5,
    leastLogOctets: 4_096,
  });
});
afterAll(() => cluster.stop());

/** A network of its own for each test, watched by whom the test says. */
async function newNetwork(...allowed: number[]): Promise<bigint> {
  networks += 1n;
  await cluster.coordinator.createNetwork(networks, Number(networks), allowed);
  return networks;
}

async function newHost(number: number): Promise<WatchingHost> {
  const host = await cluster.host(number);
  hosts.push(host);
  return host;
}

const item = (last: number, ...ids: number[]): MappingItem => ({ prefix: `10.0.0.${last}/32`, targets: ids.map((id) => target(id)) });
const heldOf = (...items: MappingItem[]): Map<string, string[]> =>
  new Map(items.map(({ prefix, targets }) => [prefix, targetsOf(targets)]));

test("a snapshot, in sync, then each change", async () => {
  const network = await newNetwork(1);
  await cluster.coordinator.write(network, [item(1, 1), item(2, 2, 3)]);
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilVersion(network, 1n);
  expect(host.kinds(network)).toEqual(["begin", "snapshot", "inSync"]);
  expect(host.held(network)).toEqual(heldOf(item(1, 1), item(2, 2, 3)));
  await cluster.coordinator.write(network, [item(1), item(3, 4)]);
  await cluster.coordinator.write(network, [item(3, 5)]);
  await host.untilVersion(network, 3n);
  expect(host.kinds(network, 3)).toEqual(["delta", "delta"]);
  expect(host.held(network)).toEqual(heldOf(item(2, 2, 3), item(3, 5)));
  await host.cancel();
});

test("an empty network is in sync too", async () => {
  const network = await newNetwork(1);
  const host = await newHost(1);
  host.subscribe(network);
  await host.until(() => host.kinds(network).length === 2);
  expect(host.kinds(network)).toEqual(["begin", "inSync"]);
  expect(host.receiver.version(network)).toBe(0n);
  await host.cancel();
});

test("when every hint is lost, the log closes the gap, version by version", async () => {
  const network = await newNetwork(1);
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilVersion(network, 0n);
  cluster.hub.fate = () => "lose";
  try {
    for (let id = 1; id <= 5; id += 1) await cluster.coordinator.write(network, [item(id, id)]);
    await host.untilVersion(network, 5n);
  } finally {
    cluster.hub.fate = () => "deliver";
  }
  expect(host.kinds(network, 2)).toEqual(["delta", "delta", "delta", "delta", "delta"]);
  expect(host.held(network).size).toBe(5);
  await host.cancel();
});

test("whatever becomes of the hints, no version is missed and none comes twice", async () => {
  const network = await newNetwork(1);
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilVersion(network, 0n);
  let delivery = 0;
  cluster.hub.fate = () => (["deliver", "lose", "twice", "deliver"] as const)[(delivery += 1) % 4] ?? "deliver";
  try {
    for (let id = 1; id <= 20; id += 1) await cluster.coordinator.write(network, [item(id % 7, id), item(100)]);
    await host.untilVersion(network, 20n);
  } finally {
    cluster.hub.fate = () => "deliver";
  }
  expect(host.kinds(network, 2)).toEqual(new Array<string>(20).fill("delta"));
  expect(host.held(network)).toEqual(heldOf(...[14, 15, 16, 17, 18, 19, 20].map((id) => item(id % 7, id))));
  await host.cancel();
});

test("when the log is trimmed as well, a new snapshot comes", async () => {
  const network = await newNetwork(1);
  await cluster.coordinator.write(network, [item(1, 1), item(2, 2)]);
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilVersion(network, 1n);
  cluster.hub.fate = () => "lose";
  try {
    // In one breath, as far as the follower can see: trimmed before it looks.
    await cluster.coordinator.write(network, [item(2)]);
    await cluster.coordinator.trim(network, 2n);
    await cluster.coordinator.write(network, [item(3, 3)]);
    await host.untilVersion(network, 3n);
  } finally {
    cluster.hub.fate = () => "deliver";
  }
  expect(host.held(network)).toEqual(heldOf(item(1, 1), item(3, 3)));
  await host.cancel();
});

test("a change that cannot be read costs a snapshot, not the feed", async () => {
  const network = await newNetwork(1);
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilVersion(network, 0n);
  await cluster.coordinator.write(network, [item(1, 1)], new Uint8Array([0xff]));
  await host.untilVersion(network, 1n);
  await cluster.coordinator.write(network, [item(2, 2)]);
  await host.untilVersion(network, 2n);
  expect(host.kinds(network)).toEqual(["begin", "inSync", "historyGone", "begin", "snapshot", "inSync", "delta"]);
  expect(host.held(network)).toEqual(heldOf(item(1, 1), item(2, 2)));
  await host.cancel();
});

test("two hosts share a network, and each sees its own others", async () => {
  const [shared, own] = [await newNetwork(1, 2), await newNetwork(2)];
  const [one, two] = [await newHost(1), await newHost(2)];
  for (const host of [one, two]) host.subscribe(shared);
  two.subscribe(own);
  await Promise.all([one.untilVersion(shared, 0n), two.untilVersion(shared, 0n), two.untilVersion(own, 0n)]);
  const reads = await metric(cluster.registry, "plenum_feed_mapping_snapshots_total");
  await cluster.coordinator.write(shared, [item(1, 1)]);
  await cluster.coordinator.write(own, [item(1, 2)]);
  await Promise.all([one.untilVersion(shared, 1n), two.untilVersion(shared, 1n), two.untilVersion(own, 1n)]);
  expect(one.held(shared)).toEqual(two.held(shared));
  expect(two.held(own)).toEqual(heldOf(item(1, 2)));
  expect(one.kinds(own)).toEqual([]);
  expect(await metric(cluster.registry, "plenum_feed_mapping_snapshots_total")).toBe(reads);
  await Promise.all([one.cancel(), two.cancel()]);
});

test("a host that reads too slowly gets a snapshot instead of what it missed, and ends where the others are", async () => {
  const network = await newNetwork(1, 2);
  const address = (index: number): string => `10.0.${index >> 8}.${index & 255}/32`;
  const many = (count: number, round: number): MappingItem[] =>
    Array.from({ length: count }, (_, index) => ({ prefix: address(index), targets: [target(round * 1_000 + index)] }));
  await cluster.coordinator.write(network, many(1_000, 0));
  const [slow, quick] = [await newHost(1), await newHost(2)];
  for (const host of [slow, quick]) host.subscribe(network);
  await Promise.all([slow.untilVersion(network, 1n), quick.untilVersion(network, 1n)]);
  const resume = slow.pause();
  // 9 KB each, where a snapshot costs 30: far more than the connection's buffers take.
  for (let round = 1; round <= 200; round += 1) await cluster.coordinator.write(network, many(40, round));
  await quick.untilVersion(network, 201n);
  resume();
  await slow.untilVersion(network, 201n);
  expect(slow.held(network)).toEqual(quick.held(network));
  expect(slow.kinds(network).filter((kind) => kind === "begin").length).toBeGreaterThan(1);
  expect(slow.kinds(network).length).toBeLessThan(100);
  await Promise.all([slow.cancel(), quick.cancel()]);
});

test("a network that a host has nothing in is refused, without its VNI, and granted once it has", async () => {
  const network = await newNetwork();
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilRefused(network);
  host.subscribe(999_999_999n);
  await host.untilRefused(999_999_999n);
  host.subscribe(2n ** 64n - 1n);
  await host.untilRefused(2n ** 64n - 1n);
  await cluster.coordinator.allow(1, network);
  host.subscribe(network);
  await host.untilVersion(network, 0n);
  await host.cancel();
});

test("the right to watch ends with a change of the network", async () => {
  const network = await newNetwork(1, 2);
  const [leaving, staying] = [await newHost(1), await newHost(2)];
  for (const host of [leaving, staying]) host.subscribe(network);
  await Promise.all([leaving.untilVersion(network, 0n), staying.untilVersion(network, 0n)]);
  await cluster.coordinator.forbid(1, network);
  await cluster.coordinator.write(network, [item(1, 1)]);
  await leaving.untilRefused(network);
  const heard = leaving.kinds(network).length;
  await cluster.coordinator.write(network, [item(2, 2)]);
  await staying.untilVersion(network, 2n);
  expect(leaving.kinds(network).length).toBe(heard);
  await cluster.coordinator.allow(1, network);
  leaving.subscribe(network);
  await leaving.untilVersion(network, 2n);
  expect(leaving.held(network)).toEqual(staying.held(network));
  await Promise.all([leaving.cancel(), staying.cancel()]);
});

test("the right to watch ends without a change too", async () => {
  const network = await newNetwork(1);
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilVersion(network, 0n);
  await cluster.coordinator.forbid(1, network);
  await host.untilRefused(network);
  await host.cancel();
});

test("subscribing again starts again; unsubscribed, a network is silent", async () => {
  const [first, second] = [await newNetwork(1), await newNetwork(1)];
  const host = await newHost(1);
  for (const network of [first, first, second]) host.subscribe(network);
  await Promise.all([host.untilVersion(first, 0n), host.untilVersion(second, 0n)]);
  host.unsubscribe(first);
  // Requests are taken in order: when this one is answered, the one before was taken.
  host.subscribe(second);
  const before = host.kinds(second).length;
  await host.until(() => host.kinds(second).length > before);
  const heard = host.kinds(first).length;
  await cluster.coordinator.write(first, [item(1, 1)]);
  await cluster.coordinator.write(second, [item(1, 1)]);
  await host.untilVersion(second, 1n);
  expect(host.kinds(first).length).toBe(heard);
  await host.cancel();
});

test("only a host may watch; a request without content is refused; our closing ends the stream well", async () => {
  const operator = await cluster.client("operator");
  await expect(async () => {
    for await (const _ of operator.watchMappings((async function* () {})()));
  }).rejects.toMatchObject({ code: 7 });
  const broken = await newHost(1);
  broken.send({ message: undefined });
  expect(await broken.done).toBe("INVALID_ARGUMENT");
  const closing = await newHost(1);
  closing.end();
  expect(await closing.done).toBe("OK");
});

test("when the streams end nothing is left of them, and the networks leave memory", async () => {
  await Promise.all(hosts.map((host) => host.cancel()));
  await vi.waitFor(async () => {
    expect(await metric(cluster.registry, "plenum_mapping_streams")).toBe(0);
    expect(await metric(cluster.registry, "plenum_mapping_watches")).toBe(0);
    expect(await metric(cluster.registry, "plenum_mapping_networks")).toBe(0);
    expect(await metric(cluster.registry, "plenum_feed_mapping_followers")).toBe(0);
  }, 5_000);
  expect(await metric(cluster.registry, "plenum_mapping_frames_total")).toBeGreaterThan(0);
});

test.each([true, false])("a barred host's streams end, and it is let into none; the hint arrives: %s", async (hinted) => {
  const number = hinted ? 91 : 92;
  const network = await newNetwork(number, 1);
  await cluster.coordinator.write(network, [item(1, 1)]);
  const [barred, other] = [await newHost(number), await newHost(1)];
  for (const host of [barred, other]) {
    host.subscribe(network);
    await host.untilVersion(network, 1n);
  }
  await cluster.coordinator.barHost(number, hinted);
  expect(await barred.done).toBe("PERMISSION_DENIED");
  const again = await newHost(number);
  expect(await again.done).toBe("PERMISSION_DENIED");
  await cluster.coordinator.write(network, [item(2, 2)]);
  await other.untilVersion(network, 2n);
  expect(barred.held(network)).toEqual(heldOf(item(1, 1)));
  await other.cancel();
});

test("a server that closes ends streams with UNAVAILABLE", async () => {
  const network = await newNetwork(1);
  const host = await newHost(1);
  host.subscribe(network);
  await host.untilVersion(network, 0n);
  await cluster.stopServer();
  expect(await host.done).toBe("UNAVAILABLE");
});
