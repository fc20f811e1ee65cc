import { writeRefusals } from "#lib/audit/refusal-log.ts";
import { openDatabase } from "#lib/db/database.ts";
import { createScopeReader } from "#lib/feed/feed.ts";
import { feedMetrics } from "#lib/metrics/metrics.ts";
import type { ServiceContext, ServiceHandle } from "#lib/service/service.ts";
import { mappingConfig } from "./config.ts";
import type { MappingConfig } from "./config.ts";
import { mappingBinding } from "./in/binding.ts";
import { mappingMetrics } from "./metrics.ts";
import { BarredHosts } from "./out/barred-hosts.ts";
import { BarredOperators } from "./out/barred-operators.ts";
import { NetworkRegistry } from "./out/network-registry.ts";
import { FEED_SCHEMA } from "./out/tables.ts";
import type { CoordinatorFeed } from "./out/tables.ts";
import { WatchAuthority } from "./out/watch-authority.ts";

/** Start the mapping service. It owns no tables: it starts while the database is away, and answers UNAVAILABLE until it is there. */
export function startMappingService(ctx: ServiceContext, config: MappingConfig = mappingConfig()): Promise<ServiceHandle> {
  const log = ctx.log.child({ service: "mapping-service" });
  const db = openDatabase<CoordinatorFeed>({ url: ctx.databaseUrl, log });
  const reader = createScopeReader({ db: db.kysely, schema: FEED_SCHEMA, bus: ctx.bus, log, checkEveryMs: config.checkEveryMs });
  const authority = new WatchAuthority({ db: db.kysely, log, recheckMs: config.recheckMs, sweepMs: config.authoritySweepMs });
  const operators = new BarredOperators({ db: db.kysely, bus: ctx.bus, log, everyMs: config.checkEveryMs });
  const hosts = new BarredHosts({ db: db.kysely, bus: ctx.bus, log, everyMs: config.checkEveryMs });
  const metrics = mappingMetrics(ctx.registry, { feeds: () => networks.feeds, watches: () => authority.size });
  feedMetrics(ctx.registry, reader, "mapping");
  const networks = new NetworkRegistry({
    db: db.kysely,
    reader,
    log,
    idleMs: config.idleMs,
    retryMs: config.retryMs,
    snapshotRecords: config.snapshotRecords,
    leastLogOctets: config.leastLogOctets,
    onFault: metrics.fault,
    onChange(networkId) {
      metrics.change();
      authority.recheck(networkId);
    },
  });
  const binding = mappingBinding({
    networks,
    authority,
    operators,
    hosts,
    loadLimitMs: config.loadLimitMs,
    onStream: metrics.stream,
    onFrame: metrics.frame,
  });
  return Promise.resolve({
    name: "mapping-service",
    api: [binding],
    internal: [binding],
    noteRefusals: (rows) => writeRefusals(db.kysely, rows),
    async stop() {
      await operators.close();
      await hosts.close();
      await networks.close();
      await reader.close();
      await authority.close();
      await db.close();
    },
  });
}
