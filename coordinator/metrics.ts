import { Gauge } from "#lib/metrics/metrics.ts";
import type { Registry } from "#lib/metrics/metrics.ts";

/** The coordinator's own metrics; names are for ever. RPCs, bus and feed have theirs in lib/metrics. */
export function coordinatorMetrics(
  registry: Registry,
  levels: { readonly sessions: () => number; readonly watches: () => number; readonly poolWaiting: () => number },
): void {
  const level = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  level("plenum_coordinator_host_sessions", "Host sessions that this process holds.", levels.sessions);
  level("plenum_coordinator_interface_watches", "WatchInterfaces streams that are open in this process.", levels.watches);
  level("plenum_coordinator_database_waiting", "Transactions that wait for a connection to PostgreSQL.", levels.poolWaiting);
}
