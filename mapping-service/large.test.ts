import { afterAll, beforeAll, expect, test } from "vitest";
import { metric, startTestCluster } from "./testing/cluster.ts";
import type { TestCluster } from "./testing/cluster.ts";
import { target } from "./testing/coordinator.ts";

const NETWORK = 500n;
const COUNT = 100_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

test("a network of 100,000 reaches a host whole, and its figures are reported", async () => {
  await cluster.coordinator.createNetwork(NETWORK, 1, [1]);
  await cluster.coordinator.fill(NETWORK, COUNT);
  const operator = await cluster.client("operator");
  let start = performance.now();
  const figures: Record<string, string> = {};
  // What a busy machine does not load in the time that a call may wait, it says to ask for again.
  const found = async () => (await operator.lookupMapping({ networkId: NETWORK, address: "10.0.0.1" })).found;
  await expect.poll(found, { timeout: 30_000 }).toBe(true);
  figures["loaded from the database and looked up"] = `${(performance.now() - start).toFixed(0)} ms`;
  const host = await cluster.host(1);
  start = performance.now();
  host.subscribe(NETWORK);
  await host.untilVersion(NETWORK, 0n);
  figures["snapshot packed, sent over TLS, unpacked"] = `${(performance.now() - start).toFixed(0)} ms`;
  expect(host.held(NETWORK).size).toBe(COUNT);
  figures["table memory a mapping"] =
    `${(((await metric(cluster.registry, "plenum_mapping_table_bytes")) ?? 0) / COUNT).toFixed(1)} octets`;
  figures["sent a mapping"] = `${(((await metric(cluster.registry, "plenum_mapping_frame_bytes_total")) ?? 0) / COUNT).toFixed(1)} octets`;
  start = performance.now();
  await cluster.coordinator.write(NETWORK, [{ prefix: "10.0.0.1/32", targets: [target(1)] }]);
  await host.untilVersion(NETWORK, 1n);
  figures["one change, from its transaction's begin to the host"] = `${(performance.now() - start).toFixed(1)} ms`;
  console.info(`${COUNT} mappings:`, figures);
  await host.cancel();
}, 60_000);
