import { rm } from "node:fs/promises";
import type { CompatServiceDefinition } from "nice-grpc";
import { AccountServiceDefinition } from "#gen/plenum/identity/v1/account.ts";
import { openTokenIssuer } from "#lib/auth/token.ts";
import type { Bus } from "#lib/bus/bus.ts";
import { MemoryHub } from "#lib/bus/memory.ts";
import { openDatabase } from "#lib/db/database.ts";
import type { Database } from "#lib/db/database.ts";
import { migrate } from "#lib/db/migrate.ts";
import { startTestPostgres, testDirectory } from "#lib/db/testing.ts";
import { silentLog } from "#lib/log/log.ts";
import type { Role } from "#lib/rpc/caller.ts";
import { openChannel } from "#lib/rpc/client.ts";
import type { PlenumClient, RpcChannel } from "#lib/rpc/client.ts";
import { startServer } from "#lib/rpc/server.ts";
import { callMigrations, createCalls, openSharedPageTokens, SCHEMA } from "../call/api.ts";
import type { Calls } from "../call/api.ts";
import { consentMigrations, createConsent, grantorStandingChanged, grantsFor, holdConsents } from "../consent/api.ts";
import { createIdentity, identityMigrations, principalStanding } from "../identity/api.ts";
import type { IdentityModule } from "../identity/api.ts";
import { createTopology, topologyMigrations } from "../topology/api.ts";
import { createNetwork, networkMigrations } from "../network/api.ts";
import type { NetworkModule } from "../network/api.ts";

/** Who calls, in a test. */
export interface TestCaller {
  readonly role: Role;
  readonly accountId?: string;
  /** Default "alice". */
  readonly principalId?: string;
}

/** The coordinator up to `network`, on a real PostgreSQL, behind a real server. */
export interface TestCoordinator {
  readonly db: Database<unknown>;
  readonly calls: Calls;
  readonly bus: Bus;
  readonly identity: IdentityModule;
  readonly network: NetworkModule;
  client<Definition extends CompatServiceDefinition>(definition: Definition, caller: TestCaller): Promise<PlenumClient<Definition>>;
  /** A channel that shows this token. */
  bearing(token: string): RpcChannel;
  /** A new account's id. */
  account(): Promise<string>;
  stop(): Promise<void>;
}

const MIGRATIONS = { ...callMigrations, ...identityMigrations, ...consentMigrations, ...topologyMigrations, ...networkMigrations };

export async function startTestCoordinator(): Promise<TestCoordinator> {
  const log = silentLog();
  const undo: (() => Promise<unknown> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.toReversed()) await step();
  };
  try {
    const postgres = await startTestPostgres();
    undo.push(() => postgres.stop());
    const directory = await testDirectory("coordinator");
    undo.push(() => rm(directory, { recursive: true, force: true }));
    const admin = openDatabase<unknown>({ url: postgres.url, log });
    await migrate(admin.kysely, SCHEMA, MIGRATIONS);
    await admin.close();
    const db = openDatabase<unknown>({ url: postgres.url, role: SCHEMA, schema: SCHEMA, connections: 20, log });
    undo.push(() => db.close());
    const bus = new MemoryHub().connect(log);
    undo.push(() => bus.close());
    const tokens = await openTokenIssuer(directory);
    const calls = createCalls({ db: db.kysely, bus, grants: grantsFor, hold: holdConsents, standing: principalStanding, log });
    const pages = await openSharedPageTokens(db.kysely);
    const identity = createIdentity({ calls, pages, tokens, bus, standingChanged: grantorStandingChanged });
    const network = createNetwork({ calls, pages, db: db.kysely });
    const services = [
      ...identity.bindings,
      ...createConsent({ calls, pages }).bindings,
      ...createTopology({ calls, pages }).bindings,
      ...network.bindings,
    ];
    const server = await startServer({ listeners: [{ address: "127.0.0.1:0" }], services, log, verifier: tokens });
    undo.push(() => server.stop());
    const address = server.addresses[0] ?? "";
    const channels = new Map<string, RpcChannel>();
    undo.push(() => channels.forEach((channel) => channel.close()));

    const client = async <Definition extends CompatServiceDefinition>(
      definition: Definition,
      caller: TestCaller,
    ): Promise<PlenumClient<Definition>> => {
      const { role, accountId = "", principalId = "alice" } = caller;
      const key = `${role} ${accountId} ${principalId}`;
      const { token } = await tokens.issue({ principalId, accountId, roles: [role] });
      const channel = channels.get(key) ?? openChannel({ address, token });
      channels.set(key, channel);
      return channel.client(definition);
    };
    const bearing = (token: string): RpcChannel => {
      const channel = openChannel({ address, token });
      channels.set(token, channel);
      return channel;
    };
    let accounts = 0;
    const account = async (): Promise<string> => {
      const service = await client(AccountServiceDefinition, { role: "operator" });
      accounts += 1;
      const made = await service.createAccount({ name: `account-${accounts}` });
      return made.account?.accountId ?? "";
    };
    return { db, calls, bus, identity, network, client, bearing, account, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
