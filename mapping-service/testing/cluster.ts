import { rm } from "node:fs/promises";
import { MappingServiceDefinition } from "#gen/plenum/mapping/v1/mapping.ts";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import { openTokenIssuer } from "#lib/auth/token.ts";
import { MemoryHub } from "#lib/bus/memory.ts";
import { startTestPostgres, testDirectory } from "#lib/db/testing.ts";
import { silentLog } from "#lib/log/log.ts";
import { Registry } from "#lib/metrics/metrics.ts";
import { hostUri, openChannel, startServer } from "#lib/rpc/rpc.ts";
import type { PlenumClient, Role, RpcChannel, RpcServer } from "#lib/rpc/rpc.ts";
import type { ServiceHandle } from "#lib/service/service.ts";
import { mappingConfig } from "../config.ts";
import type { MappingConfig } from "../config.ts";
import { startMappingService } from "../main.ts";
import { hostId, TestCoordinator } from "./coordinator.ts";
import { WatchingHost } from "./watching-host.ts";

type Client = PlenumClient<typeof MappingServiceDefinition>;

/** The real service over a real database, TLS and gRPC, with a stand-in for the coordinator; for tests. */
export interface TestCluster {
  readonly coordinator: TestCoordinator;
  readonly hub: MemoryHub;
  readonly registry: Registry;
  /** A caller with a token. */
  client(role: Role, principalId?: string): Promise<Client>;
  /** A caller with a host's certificate. */
  host(number: number, before?: WatchingHost): Promise<WatchingHost>;
  hostClient(number: number): Promise<Client>;
  /** Ends the service and starts another, at another address; clients made before are of no use. */
  restart(): Promise<void>;
  /** Ends the database, for good. */
  stopDatabase(): Promise<void>;
  /** Ends the listener, as the composer does first. */
  stopServer(): Promise<void>;
  stop(): Promise<void>;
}

export async function startTestCluster(settings: Partial<MappingConfig> = {}): Promise<TestCluster> {
  const postgres = await startTestPostgres();
  const directory = await testDirectory("mapping");
  const ca = await openCertificateAuthority(directory);
  const tokens = await openTokenIssuer(directory);
  const hub = new MemoryHub();
  const log = silentLog();
  const bus = hub.connect(log);
  const registry = new Registry();
  const coordinator = await TestCoordinator.create(postgres.url, bus);
  const config = { ...mappingConfig({}), ...settings };
  const tls = { ...(await ca.issueServer(["127.0.0.1"])), ca: ca.ca, requestClientCert: true };
  let service: ServiceHandle;
  let server: RpcServer;
  let address = "";
  const start = async (metrics: Registry): Promise<void> => {
    service = await startMappingService({ databaseUrl: postgres.url, bus, ca, tokens, log, registry: metrics }, config);
    server = await startServer({ listeners: [{ address: "127.0.0.1:0", tls }], services: service.internal, log, verifier: tokens });
    address = server.addresses[0] ?? "";
  };
  await start(registry);
  const channels: RpcChannel[] = [];
  const open = (settingsOf: { token?: string; cert?: string; key?: string }): Client => {
    const channel = openChannel({ address, ca: ca.ca, ...settingsOf });
    channels.push(channel);
    return channel.client(MappingServiceDefinition);
  };
  const hostClient = async (number: number): Promise<Client> => open(await ca.issueUri(hostUri(hostId(number)), 600_000));
  return {
    coordinator,
    hub,
    registry,
    hostClient,
    async client(role, principalId = "test") {
      const accountId = role === "operator" ? "" : `acct-${"1".repeat(32)}`;
      return open({ token: (await tokens.issue({ principalId, accountId, roles: [role] })).token });
    },
    host: async (number, before) => new WatchingHost(await hostClient(number), before),
    async restart() {
      await server.stop(0);
      await service.stop();
      // Metrics are of one process.
      await start(new Registry());
    },
    stopDatabase: () => postgres.stop(),
    stopServer: () => server.stop(1_000),
    async stop() {
      for (const channel of channels) channel.close();
      await server.stop(0);
      await service.stop();
      await coordinator.close();
      await bus.close();
      await postgres.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A metric's value now. */
export async function metric(registry: Registry, name: string): Promise<number | undefined> {
  return (await registry.getSingleMetric(name)?.get())?.values[0]?.value;
}
