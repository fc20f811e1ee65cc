import type { Kysely } from "kysely";
import type { CertificateAuthority } from "#lib/auth/ca.ts";
import type { TokenIssuer } from "#lib/auth/token.ts";
import type { Bus } from "#lib/bus/bus.ts";
import type { ScopeReader } from "#lib/feed/feed.ts";
import type { Logger } from "#lib/log/log.ts";
import type { ServiceBinding } from "#lib/rpc/definition.ts";
import type { Calls } from "../call/api.ts";
import type { Operations } from "../identity/api.ts";
import type { Signals } from "../interface/api.ts";
import { hostFeedService } from "./in/host-feed-service.ts";
import { watchBars } from "./out/bar-watch.ts";
import { Sessions } from "./out/sessions.ts";
import { VersionWriter } from "./out/version-writer.ts";

export { feedMigrations } from "./migrations.ts";

export interface FeedModule {
  /** HostFeedService: for the internal listener. */
  readonly bindings: readonly ServiceBinding[];
  /** Sessions that this process holds now. */
  sessions(): number;
  stop(): Promise<void>;
}

export function createFeed(options: {
  readonly calls: Calls;
  readonly db: Kysely<unknown>;
  /** For what keeps hosts' leases: calls that wait for each other must not use up its connections. */
  readonly leases: Kysely<unknown>;
  readonly bus: Bus;
  readonly ca: CertificateAuthority;
  readonly tokens: TokenIssuer;
  readonly operations: Operations;
  readonly signals: Signals;
  readonly reader: ScopeReader<unknown>;
  readonly log: Logger;
}): FeedModule {
  const sessions = new Sessions(options.bus);
  const bars = watchBars({ ...options, sessions, db: options.leases });
  const versions = new VersionWriter(options.leases, options.signals);
  return {
    bindings: [hostFeedService({ ...options, sessions, versions })],
    sessions: () => sessions.size,
    async stop() {
      await bars.stop();
      sessions.close();
      await versions.idle();
    },
  };
}
