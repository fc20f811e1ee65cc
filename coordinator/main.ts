import { writeRefusals } from "#lib/audit/refusal-log.ts";
import { openDatabase } from "#lib/db/database.ts";
import { newestOf } from "#lib/db/fence.ts";
import { checkSchema, migrate } from "#lib/db/migrate.ts";
import { createScopeReader } from "#lib/feed/feed.ts";
import { feedMetrics } from "#lib/metrics/metrics.ts";
import type { ServiceContext, ServiceHandle } from "#lib/service/service.ts";
import { createCalls, openSharedPageTokens } from "./call/api.ts";
import { coordinatorConfig, quotasOf } from "./config.ts";
import type { CoordinatorConfig } from "./config.ts";
import { createConsent, grantorStandingChanged, grantsFor, holdConsents } from "./consent/api.ts";
import { createFeed } from "./feed/api.ts";
import { startForcing } from "./forcing.ts";
import { createIdentity, writeQuotaDefaults } from "./identity/api.ts";
import { createInterfaceModule, forgetReadRulesets } from "./interface/api.ts";
import { coordinatorMetrics } from "./metrics.ts";
import { coordinatorMigrations, SCHEMA } from "./migrations.ts";
import { createNetwork } from "./network/api.ts";
import { callerStanding, createPlacement, instanceDirectory, startPresence } from "./placement/api.ts";
import { startSweeper } from "./sweep.ts";
import { createTopology } from "./topology/api.ts";

/** Bring the schema up to date where we may, else insist on the one that we know (C17). */
async function prepareSchema(ctx: ServiceContext): Promise<void> {
  const db = openDatabase<unknown>({ url: ctx.adminDatabaseUrl ?? ctx.databaseUrl, connections: 1, log: ctx.log });
  try {
    if (ctx.adminDatabaseUrl === undefined) await checkSchema(db.kysely, SCHEMA, coordinatorMigrations);
    else await migrate(db.kysely, SCHEMA, coordinatorMigrations);
  } finally {
    await db.close();
  }
}

/** Beside those for calls: one for what all sessions say, two for hosts that somebody holds, one for the word that this copy is there; looks
 * for barred hosts go between. */
const LEASE_CONNECTIONS = 4;

/** Start the coordinator: its modules in their order (C21), each given the earlier ones. */
export async function startCoordinator(ctx: ServiceContext, config: CoordinatorConfig = coordinatorConfig()): Promise<ServiceHandle> {
  const log = ctx.log.child({ service: "coordinator" });
  const { bus, ca, tokens } = ctx;
  await prepareSchema(ctx);
  const at = { url: ctx.databaseUrl, schema: SCHEMA, knows: newestOf(coordinatorMigrations), log };
  const database = openDatabase<unknown>({ ...at, connections: config.connections });
  database.pool.on("connect", forgetReadRulesets);
  const db = database.kysely;
  const leaseDatabase = openDatabase<unknown>({ ...at, connections: LEASE_CONNECTIONS });
  const leases = leaseDatabase.kysely;
  await writeQuotaDefaults(db, quotasOf(config));
  const pages = await openSharedPageTokens(db);
  const calls = createCalls({ db, bus, grants: grantsFor, hold: holdConsents, standing: callerStanding, log });
  const reader = createScopeReader<unknown>({ db, schema: SCHEMA, bus, log, checkEveryMs: config.checkEveryMs });

  const identity = createIdentity({ calls, pages, tokens, bus, standingChanged: grantorStandingChanged });
  const consent = createConsent({ calls, pages });
  const topology = createTopology({ calls, pages });
  const network = createNetwork({ calls, pages, db });
  const interfaces = createInterfaceModule({
    ...{ calls, pages, db, bus, network, reader },
    directory: instanceDirectory,
    maxWatches: config.maxWatches,
  });
  const placement = createPlacement({ calls, pages, ca, bus, operations: identity.operations, network, signals: interfaces.signals });
  const feed = createFeed({
    calls,
    db,
    leases,
    bus,
    ca,
    tokens,
    operations: identity.operations,
    signals: interfaces.signals,
    reader,
    log,
  });

  const presence = await startPresence({ db: leases, leaseMs: config.hostLeaseMs, log });
  const sweeper = startSweeper({ calls, db, network, everyMs: config.sweepEveryMs, keepChangesSeconds: config.keepChangesSeconds, log });
  const forcing = startForcing({ calls, db, operations: identity.operations, signals: interfaces.signals, log });
  coordinatorMetrics(ctx.registry, {
    sessions: feed.sessions,
    watches: interfaces.watches,
    poolWaiting: () => database.pool.waitingCount,
  });
  feedMetrics(ctx.registry, reader, "coordinator");
  return {
    name: "coordinator",
    api: [
      ...identity.bindings,
      ...consent.bindings,
      ...topology.bindings,
      ...network.bindings,
      ...interfaces.bindings,
      ...placement.bindings,
    ],
    internal: [...feed.bindings],
    noteRefusals: (rows) => writeRefusals(db, rows),
    async stop() {
      await sweeper.stop();
      await forcing.stop();
      await presence.stop();
      await reader.close();
      await feed.stop();
      interfaces.stop();
      await database.close();
      await leaseDatabase.close();
    },
  };
}
