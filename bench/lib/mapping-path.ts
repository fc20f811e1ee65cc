import { MappingAgent } from "./mapping-agent.ts";
import type { MappingModules } from "./mapping-modules.ts";
import type { Datapath } from "../../host-agent/core/ports.ts";

const NETWORK = { networkId: 500n, vni: 500 };

export interface WholePath {
  /** From the database into the service's table. */
  loadMs: number;
  serviceBytesEach: number;
  wireBytesEach: number;
  /** From the subscription until the agent has everything: packed, over TLS and gRPC. */
  receivedMs: number;
  /** And until the reconciler has written everything into the kernel. */
  kernelMs: number;
  /** Processor time of all that, the service's and the agent's. */
  cpuMs: number;
}

/**
 * The real service over a real database, and the agent's real session and reconciler on `datapath`, both in this process: what they do
 * adds up, where two hosts would do it side by side.
 */
export async function wholePath(modules: MappingModules, datapath: Datapath, count: number): Promise<WholePath> {
  const { startTestCluster, metric } = modules;
  // A busy machine takes longer to load a million than the ten seconds that a caller waits.
  const cluster = await startTestCluster({ loadLimitMs: 600_000 });
  try {
    await cluster.coordinator.createNetwork(NETWORK.networkId, NETWORK.vni, [1]);
    await cluster.coordinator.fill(NETWORK.networkId, count);
    const operator = await cluster.client("operator");
    const empty = performance.now();
    await operator.lookupMapping({ networkId: NETWORK.networkId, address: "10.0.0.1" }, { deadline: 600_000 });
    const loadMs = performance.now() - empty;
    const of = async (name: string): Promise<number> => ((await metric(cluster.registry, name)) ?? NaN) / count;
    const serviceBytesEach = await of("plenum_mapping_table_bytes");
    const agent = new MappingAgent(modules, datapath, NETWORK);
    const client = await cluster.hostClient(1);
    const cpu = process.cpuUsage();
    const start = performance.now();
    await agent.receive(client);
    const receivedMs = performance.now() - start;
    agent.apply();
    const kernelMs = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    if (agent.size !== count) throw new Error(`${agent.size} of ${count} mappings are in the kernel`);
    const wireBytesEach = await of("plenum_mapping_frame_bytes_total");
    return { loadMs, serviceBytesEach, wireBytesEach, receivedMs, kernelMs, cpuMs: (user + system) / 1e3 };
  } finally {
    await cluster.stop();
  }
}
