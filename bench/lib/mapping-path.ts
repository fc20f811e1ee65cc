import { startTestCluster } from "../../mapping-service/testing/cluster.ts";
import { metric } from "../../mapping-service/testing/cluster.ts";
import { Attempts } from "../../host-agent/core/attempts.ts";
import { Mappings } from "../../host-agent/core/mappings.ts";
import type { Datapath } from "../../host-agent/core/ports.ts";
import { MappingSession } from "../../host-agent/in/mapping-session.ts";
import { silentLog } from "#lib/log/log.ts";

const NETWORK = 500n;
const VNI = 500;

export interface WholePath {
  /** From the database into the service's table. */
  loadMs: number;
  serviceBytesEach: number;
  wireBytesEach: number;
  /** From the subscription until the agent has everything: packed, over TLS and gRPC, unpacked. */
  receivedMs: number;
  /** And until the reconciler has written everything into the kernel. */
  kernelMs: number;
}

/**
 * The real service over a real database, and the agent's real session and reconciler on `datapath`, both in this process: what they do
 * adds up, where two hosts would do it side by side.
 */
export async function wholePath(datapath: Datapath, count: number): Promise<WholePath> {
  const cluster = await startTestCluster();
  try {
    await cluster.coordinator.createNetwork(NETWORK, VNI, [1]);
    await cluster.coordinator.fill(NETWORK, count);
    const operator = await cluster.client("operator");
    const empty = performance.now();
    await operator.lookupMapping({ networkId: NETWORK, address: "10.0.0.1" }, { deadline: 300_000 });
    const loadMs = performance.now() - empty;
    const of = async (name: string): Promise<number> => ((await metric(cluster.registry, name)) ?? NaN) / count;
    const serviceBytesEach = await of("plenum_mapping_table_bytes");

    const attempts = new Attempts({
      ...{ backoff: { firstMs: 100, maxMs: 5_000 }, clock: () => performance.now(), budgetMs: Infinity },
      onFailure: (key, error) => process.stderr.write(`${key}: ${error.message}\n`),
    });
    const mappings = new Mappings(datapath, attempts);
    mappings.keepOnly(new Set([VNI]));
    const received = Promise.withResolvers<number>();
    const client = await cluster.hostClient(1);
    const session = new MappingSession({
      connect: () => ({ client, close: () => {} }),
      handler: {
        replace(vni, all, version) {
          received.resolve(performance.now());
          mappings.replace(vni, all, version);
        },
        change: () => {},
        held: () => undefined,
      },
      ...{ log: silentLog(), backoff: { firstMs: 100, maxMs: 1_000 }, received: () => {} },
    });
    session.watch(new Map([[NETWORK, { vni: VNI }]]));
    const ending = new AbortController();
    const start = performance.now();
    const running = session.run(ending.signal);
    const receivedMs = (await received.promise) - start;
    attempts.begin();
    const done = mappings.apply();
    const kernelMs = performance.now() - start;
    if (!done.includes(VNI) || mappings.size !== count) throw new Error(`${mappings.size} of ${count} mappings are in the kernel`);
    ending.abort();
    await running;
    return { loadMs, serviceBytesEach, wireBytesEach: await of("plenum_mapping_frame_bytes_total"), receivedMs, kernelMs };
  } finally {
    await cluster.stop();
  }
}
