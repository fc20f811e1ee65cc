import { afterAll, beforeAll, expect, test } from "vitest";
import { callFailure } from "#lib/rpc/rpc.ts";
import { startTestCluster } from "./testing/cluster.ts";
import type { TestCluster } from "./testing/cluster.ts";
import { target } from "./testing/coordinator.ts";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ checkEveryMs: 20, recheckMs: 5, authoritySweepMs: 20, loadLimitMs: 1_000 });
});
afterAll(() => cluster.stop());

test("without the database hosts keep their streams, what is in memory is answered, and the rest is UNAVAILABLE", async () => {
  for (const network of [1n, 2n]) await cluster.coordinator.createNetwork(network, Number(network), [1]);
  await cluster.coordinator.write(1n, [{ prefix: "10.0.0.1/32", targets: [target(1)] }]);
  const [host, other, operator] = [await cluster.host(1), await cluster.host(1), await cluster.client("operator")];
  host.subscribe(1n);
  await host.untilVersion(1n, 1n);
  await cluster.stopDatabase();

  expect(await operator.lookupMapping({ networkId: 1n, address: "10.0.0.1" })).toMatchObject({ found: true, version: 1n });
  const failure = await operator.lookupMapping({ networkId: 2n, address: "10.0.0.1" }).catch(callFailure);
  expect(failure).toMatchObject({ status: "UNAVAILABLE", reason: "UNAVAILABLE" });
  // A host that comes now is sent away to come again; the one that was there hears nothing, and loses nothing.
  other.subscribe(1n);
  expect(await other.done).toBe("UNAVAILABLE");
  expect(host.kinds(1n)).toEqual(["begin", "snapshot", "inSync"]);
  const ended = await Promise.race([host.done, Promise.resolve("open")]);
  expect(ended).toBe("open");
});
