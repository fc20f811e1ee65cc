import { afterAll, beforeAll, expect, test } from "vitest";
import type { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import { startTestCluster } from "./testing/cluster.ts";
import type { TestCluster } from "./testing/cluster.ts";
import { target } from "./testing/coordinator.ts";
import type { WatchingHost } from "./testing/watching-host.ts";

let cluster: TestCluster;
let networks = 3_000n;

beforeAll(async () => {
  cluster = await startTestCluster({ checkEveryMs: 60_000, recheckMs: 5, idleMs: 200, leastLogOctets: 2_000 });
});
afterAll(() => cluster.stop());

const item = (last: number, ...ids: number[]): MappingItem => ({ prefix: `10.0.0.${last}/32`, targets: ids.map((id) => target(id)) });

async function watched(): Promise<{ network: bigint; host: WatchingHost }> {
  networks += 1n;
  await cluster.coordinator.createNetwork(networks, Number(networks), [1]);
  await cluster.coordinator.write(networks, [item(1, 1)]);
  const host = await cluster.host(1);
  host.subscribe(networks);
  await host.untilVersion(networks, 1n);
  return { network: networks, host };
}

/** A new stream of a host that kept what it held. */
async function again(before: WatchingHost, network: bigint): Promise<WatchingHost> {
  await before.cancel();
  const host = await cluster.host(1, before);
  host.subscribe(network);
  return host;
}

test("a host that comes back gets what it missed; with nothing missed, nothing", async () => {
  const { network, host } = await watched();
  const second = await again(host, network);
  await second.until(() => second.kinds(network).includes("inSync"));
  expect(second.kinds(network)).toEqual(["resumed", "inSync"]);
  await second.cancel();
  await cluster.coordinator.write(network, [item(2, 2)]);
  await cluster.coordinator.write(network, [item(1)]);
  const third = await again(second, network);
  await third.until(() => third.kinds(network).includes("inSync"));
  expect(third.kinds(network)).toEqual(["resumed", "delta", "delta", "inSync"]);
  expect([...third.held(network).keys()]).toEqual(["10.0.0.2/32"]);
  await third.cancel();
});

test("also when the network had left memory, or another copy serves it: from the log", async () => {
  const { network, host } = await watched();
  await host.cancel();
  await cluster.coordinator.write(network, [item(2, 2)]);
  await cluster.restart();
  const second = await again(host, network);
  await second.untilVersion(network, 2n);
  expect(second.kinds(network).slice(0, 2)).toEqual(["resumed", "delta"]);
  expect([...second.held(network).keys()].sort()).toEqual(["10.0.0.1/32", "10.0.0.2/32"]);
  await second.cancel();
});

test("a copy that is behind what the host has is brought up to date first: nobody is taken back", async () => {
  const { network, host } = await watched();
  const lagging = await cluster.host(1);
  lagging.subscribe(network);
  await lagging.untilVersion(network, 1n);
  // This copy hears no hint and looks only each minute; the host has heard from another one.
  cluster.hub.fate = () => "lose";
  try {
    await cluster.coordinator.write(network, [item(1)]);
    const at = await cluster.coordinator.position(network);
    host.bookmarks.set(network, at);
    host.held(network).delete("10.0.0.1/32");
    const second = await again(host, network);
    await second.until(() => second.kinds(network).includes("inSync"));
    expect(second.kinds(network)).toEqual(["resumed", "inSync"]);
    expect(second.receiver.version(network)).toBe(2n);
    await second.cancel();
  } finally {
    cluster.hub.fate = () => "deliver";
  }
  await lagging.cancel();
});

test("a host that was away for longer than changes are kept is told so and gets a snapshot", async () => {
  const { network, host } = await watched();
  await host.cancel();
  for (let id = 2; id < 60; id += 1) await cluster.coordinator.write(network, [item(id % 5, id)]);
  const second = await again(host, network);
  await second.until(() => second.kinds(network).includes("inSync"));
  expect(second.kinds(network)).toEqual(["historyGone", "begin", "snapshot", "inSync"]);
  const fresh = await cluster.host(1);
  fresh.subscribe(network);
  await fresh.untilVersion(network, 59n);
  expect(second.held(network)).toEqual(fresh.held(network));
  await Promise.all([second.cancel(), fresh.cancel()]);
});

test("a host that has nothing in the network any more is refused, whatever its token", async () => {
  const { network, host } = await watched();
  await cluster.coordinator.forbid(1, network);
  const second = await again(host, network);
  await second.untilRefused(network);
  expect(second.kinds(network)).toEqual(["refused"]);
  await second.cancel();
});
