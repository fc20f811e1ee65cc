import { rm } from "node:fs/promises";
import { sql } from "kysely";
import type { CompatServiceDefinition } from "nice-grpc";
import { InstanceServiceDefinition } from "#gen/plenum/compute/v1/instance.ts";
import { HostServiceDefinition } from "#gen/plenum/host/v1/host.ts";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { SecurityGroupServiceDefinition } from "#gen/plenum/network/v1/security_group.ts";
import { SubnetServiceDefinition } from "#gen/plenum/network/v1/subnet.ts";
import { VpcServiceDefinition } from "#gen/plenum/network/v1/vpc.ts";
import { InterfaceServiceDefinition } from "#gen/plenum/nivc/v1/interface_service.ts";
import { OperationServiceDefinition, OperationState } from "#gen/plenum/operation/v1/operation.ts";
import { TopologyServiceDefinition } from "#gen/plenum/topology/v1/topology.ts";
import { openCertificateAuthority } from "#lib/auth/ca.ts";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import { openTokenIssuer } from "#lib/auth/token.ts";
import type { TokenIssuer } from "#lib/auth/token.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { MemoryHub } from "#lib/bus/memory.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { startTestPostgres, testDirectory } from "#lib/db/testing.ts";
import { silentLog } from "#lib/log/log.ts";
import { Registry } from "#lib/metrics/metrics.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { PlenumClient, RpcChannel } from "#lib/rpc/client.ts";
import { startServer } from "#lib/rpc/server.ts";
import { startCoordinator } from "../main.ts";
import { SCHEMA } from "../migrations.ts";
import type { TestCaller } from "./coordinator.ts";
import { FakeHost } from "./fake-host.ts";

/** Clients of one caller. */
export interface Clients {
  readonly interfaces: PlenumClient<typeof InterfaceServiceDefinition>;
  readonly instances: PlenumClient<typeof InstanceServiceDefinition>;
  readonly subnets: PlenumClient<typeof SubnetServiceDefinition>;
  readonly vpcs: PlenumClient<typeof VpcServiceDefinition>;
  readonly groups: PlenumClient<typeof SecurityGroupServiceDefinition>;
  readonly hosts: PlenumClient<typeof HostServiceDefinition>;
  readonly operations: PlenumClient<typeof OperationServiceDefinition>;
  readonly topology: PlenumClient<typeof TopologyServiceDefinition>;
  readonly accounts: PlenumClient<typeof AccountServiceDefinition>;
}

/** A VPC with one subnet. */
export interface TestNetwork {
  readonly vpcId: string;
  readonly networkId: bigint;
  readonly subnetId: string;
  readonly defaultGroup: string;
}

/** The whole coordinator over a real PostgreSQL: its API with tokens, and the internal listener with mTLS, as in `plenum up`. */
export interface World {
  readonly db: Database<unknown>;
  readonly operator: Clients;
  as(caller: TestCaller): Promise<Clients>;
  account(): Promise<{ accountId: string; clients: Clients }>;
  network(clients: Clients, cidr?: string, subnet?: string): Promise<TestNetwork>;
  host(zoneId?: string): Promise<FakeHost>;
  /** Wait for an operation's end; its state's name. */
  finished(clients: Clients, operationId: string | undefined): Promise<string>;
  readonly internal: { address: string; ca: string };
  /** What the mapping service would read of a network. */
  operatorMappings(networkId: bigint): Promise<{ prefix: string; host_id: string }[]>;
  /** A scope's version. */
  level(scope: string): Promise<bigint>;
  /** Any client, default as the operator. */
  client<Definition extends CompatServiceDefinition>(definition: Definition, caller?: TestCaller): Promise<PlenumClient<Definition>>;
  /** A channel to the API that shows this token. */
  bearing(token: string): RpcChannel;
  /** Let a host's last word be this many seconds ago. */
  age(hostId: string, seconds: number): Promise<void>;
  /** Let this much time pass in which nobody could hear hosts, if it is an outage; else somebody could. */
  pass(seconds: number, outage: boolean): Promise<void>;
  /** Let all join tokens have ended. */
  expireTokens(): Promise<void>;
  /** Decides the fate of each message on the bus. */
  readonly hub: MemoryHub;
  /** Another copy of the coordinator on the same database and bus; its internal listener, and clients of an owner. */
  copy(): Promise<{ internal: { address: string; ca: string }; as(accountId: string): Promise<Clients> }>;
  /** End the coordinator and start another on the same database and address. `meanwhile` runs between the two. */
  restart(meanwhile?: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

export const ZONE = "zone-a";

function clientsOf(channel: RpcChannel): Clients {
  const client = <Definition extends CompatServiceDefinition>(definition: Definition): PlenumClient<Definition> =>
    channel.client(definition);
  return {
    interfaces: client(InterfaceServiceDefinition),
    instances: client(InstanceServiceDefinition),
    subnets: client(SubnetServiceDefinition),
    vpcs: client(VpcServiceDefinition),
    groups: client(SecurityGroupServiceDefinition),
    hosts: client(HostServiceDefinition),
    operations: client(OperationServiceDefinition),
    topology: client(TopologyServiceDefinition),
    accounts: client(AccountServiceDefinition),
  };
}

interface Served {
  readonly api: string;
  readonly internal: string;
  stop(): Promise<void>;
}

async function serve(
  given: { url: string; bus: Bus; ca: CertificateAuthority; tokens: TokenIssuer },
  at: { api: string; internal: string },
): Promise<Served> {
  const log = silentLog();
  const handle = await startCoordinator({ ...given, databaseUrl: given.url, adminDatabaseUrl: given.url, log, registry: new Registry() });
  const tls = { ...(await given.ca.issueServer(["localhost"])), ca: given.ca.ca, requestClientCert: true };
  const api = await startServer({ listeners: [{ address: at.api }], services: handle.api, log, verifier: given.tokens });
  const anonymousMethods = ["/plenum.host.v1.HostFeedService/Join"];
  const internal = await startServer({ listeners: [{ address: at.internal, tls }], services: handle.internal, log, anonymousMethods });
  return {
    api: api.addresses[0] ?? "",
    internal: internal.addresses[0] ?? "",
    async stop() {
      await Promise.all([api.stop(500), internal.stop(500)]);
      await handle.stop();
    },
  };
}

export async function startWorld(): Promise<World> {
  const undo: (() => Promise<unknown> | void)[] = [];
  const postgres = await startTestPostgres();
  undo.push(() => postgres.stop());
  const directory = await testDirectory("world");
  undo.push(() => rm(directory, { recursive: true, force: true }));
  const ca = await openCertificateAuthority(directory);
  const tokens = await openTokenIssuer(directory);
  const hub = new MemoryHub();
  const bus = hub.connect(silentLog());
  const given = { url: postgres.url, bus, ca, tokens };
  let served = await serve(given, { api: "127.0.0.1:0", internal: "127.0.0.1:0" });
  const internal = { address: served.internal, ca: ca.ca };
  const db = openDatabase<unknown>({ url: postgres.url, schema: SCHEMA, log: silentLog() });
  undo.push(() => db.close());
  undo.push(() => served.stop());
  // Hosts could be heard for long: what falls silent from now on is silent.
  await sql`UPDATE host_service SET since = now() - interval '1 day'`.execute(db.kysely);
  const channels: RpcChannel[] = [];
  const hosts: FakeHost[] = [];
  undo.push(() => channels.forEach((channel) => channel.close()));
  undo.push(() => Promise.all(hosts.map((host) => host.close())));

  const as = async ({ role, accountId = "", principalId = "alice" }: TestCaller): Promise<Clients> => {
    const { token } = await tokens.issue({ principalId, accountId, roles: [role] });
    const channel = openChannel({ address: served.api, token, deadlineMs: 60_000 });
    channels.push(channel);
    return clientsOf(channel);
  };
  const operator = await as({ role: "operator" });
  const zones = new Set<string>();
  const zone = async (zoneId: string): Promise<void> => {
    if (!zones.has(zoneId)) await operator.topology.createZone({ zoneId, regionId: "region-1" });
    zones.add(zoneId);
  };
  await zone(ZONE);
  let serial = 0;
  return {
    db,
    operator,
    internal,
    hub,
    async copy() {
      const second = await serve({ ...given, bus: hub.connect(silentLog()) }, { api: "127.0.0.1:0", internal: "127.0.0.1:0" });
      undo.splice(3, 0, () => second.stop());
      return {
        internal: { address: second.internal, ca: ca.ca },
        async as(accountId) {
          const { token } = await tokens.issue({ principalId: "alice", accountId, roles: ["owner"] });
          const channel = openChannel({ address: second.api, token });
          channels.push(channel);
          return clientsOf(channel);
        },
      };
    },
    as,
    async account() {
      serial += 1;
      const { account } = await operator.accounts.createAccount({ name: `account-${serial}` });
      const accountId = account?.accountId ?? "";
      return { accountId, clients: await as({ role: "owner", accountId }) };
    },
    async network(clients, cidr = "10.0.0.0/16", subnet = "10.0.1.0/24") {
      const made = await clients.vpcs.createVpc({ name: "v", cidrBlock: cidr, firstSubnet: { cidrBlock: subnet } });
      return {
        vpcId: made.vpc?.vpcId ?? "",
        networkId: made.vpc?.networkId ?? 0n,
        subnetId: made.firstSubnet?.subnetId ?? "",
        defaultGroup: made.vpc?.defaultSecurityGroupId ?? "",
      };
    },
    async host(zoneId = ZONE) {
      await zone(zoneId);
      serial += 1;
      const { token } = await operator.hosts.createJoinToken({ zoneId });
      const host = await FakeHost.join(internal, token, `host-${serial}`, `198.18.${serial >> 8}.${serial & 255}`);
      hosts.push(host);
      await host.connect();
      return host;
    },
    async finished(clients, operationId = "") {
      const { operation } = await clients.operations.waitOperation({ operationId, timeout: { seconds: 10n, nanos: 0 } });
      return Object.entries(OperationState).find(([, value]) => value === operation?.state)?.[0] ?? "";
    },
    async operatorMappings(networkId) {
      const { rows } = await sql<{ prefix: string; host_id: string }>`
        SELECT prefix, host_id FROM coordinator_feed.mapping WHERE network_id = ${networkId} ORDER BY prefix`.execute(db.kysely);
      return rows;
    },
    async level(scope) {
      const { rows } = await sql<{ version: bigint }>`SELECT version FROM scope WHERE scope = ${scope}`.execute(db.kysely);
      return rows[0]?.version ?? 0n;
    },
    async client(definition, { role, accountId = "", principalId = "alice" }: TestCaller = { role: "operator" }) {
      const { token } = await tokens.issue({ principalId, accountId, roles: [role] });
      const channel = openChannel({ address: served.api, token });
      channels.push(channel);
      return channel.client(definition);
    },
    bearing(token) {
      const channel = openChannel({ address: served.api, token, deadlineMs: 60_000 });
      channels.push(channel);
      return channel;
    },
    async age(hostId, seconds) {
      await sql`UPDATE host SET last_seen = now() - ${seconds} * interval '1 second' WHERE host_id = ${hostId}`.execute(db.kysely);
    },
    async pass(seconds, outage) {
      const ago = sql`${seconds} * interval '1 second'`;
      await sql`UPDATE host SET last_seen = last_seen - ${ago}`.execute(db.kysely);
      await sql`UPDATE host_service SET since = since - ${ago}, seen = seen - ${outage ? ago : sql`interval '0'`}`.execute(db.kysely);
    },
    async expireTokens() {
      await sql`UPDATE join_token SET expire_time = now()`.execute(db.kysely);
    },
    async restart(meanwhile) {
      const at = { api: served.api, internal: served.internal };
      await served.stop();
      await meanwhile?.();
      served = await serve(given, at);
    },
    async stop() {
      for (const step of undo.toReversed()) await step();
    },
  };
}
