import { Counter, Gauge, Histogram } from "#lib/metrics/metrics.ts";
import type { Registry } from "#lib/metrics/metrics.ts";
import type { Datapath } from "./core/ports.ts";
import { LOST } from "./core/reconciler.ts";
import type { Lost, Reconciler } from "./core/reconciler.ts";

export type FeedName = "host" | "mapping";

export interface AgentMetrics {
  passed(seconds: number): void;
  stepFailed(): void;
  lost(what: Lost, count: number): void;
  received(feed: FeedName): void;
}

export interface MetricSources {
  datapath: Datapath;
  reconciler: Reconciler;
  /** Whether the stream of a feed is open. */
  connected(feed: FeedName): boolean;
}

const FEEDS: readonly FeedName[] = ["host", "mapping"];

/** What the agent tells Prometheus. Values are read when asked for. */
export function agentMetrics(registry: Registry, sources: MetricSources): AgentMetrics {
  const registers = [registry];
  const { datapath, reconciler } = sources;
  const last = new Map<FeedName, number>(FEEDS.map((feed) => [feed, performance.now()]));

  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge("plenum_host_wanted_version", "Version of the host's scope that the feed has told", () => Number(reconciler.host.version));
  gauge("plenum_host_applied_version", "Version of the host's scope that was brought to the kernel", () =>
    Number(reconciler.appliedVersion),
  );
  gauge("plenum_host_open_items", "Instances and attachments that are not yet as wanted", () => reconciler.statuses.open);
  gauge("plenum_host_failing_steps", "Steps on the kernel that failed and are tried again", () => reconciler.attempts.failing);
  gauge("plenum_host_mappings", "Mappings in the kernel", () => reconciler.mappings.size);
  gauge("plenum_host_pending_mappings", "Mappings that differ from what is wanted", () => reconciler.mappings.pending);
  gauge("plenum_host_endpoints", "Interfaces that are open", () => reconciler.interfaces.endpoints.actualSize);

  gauge("plenum_host_substrate_device_ready", "1 while the device with the substrate address is up and has a carrier", () =>
    reconciler.substrate.standing.deviceReady ? 1 : 0,
  );
  gauge("plenum_host_tunnel_ready", "1 while the tunnel device is up and runs the host's program", () =>
    reconciler.substrate.standing.tunnelReady ? 1 : 0,
  );

  feedGauge("plenum_host_feed_message_age_seconds", "Seconds since the last message of a feed; an idle feed is silent", (feed) => {
    return (performance.now() - (last.get(feed) ?? 0)) / 1_000;
  });
  feedGauge("plenum_host_feed_connected", "1 while the stream of a feed is open", (feed) => (sources.connected(feed) ? 1 : 0));

  function feedGauge(name: string, help: string, read: (feed: FeedName) => number): void {
    new Gauge({
      name,
      help,
      labelNames: ["feed"],
      registers,
      collect() {
        for (const feed of FEEDS) this.set({ feed }, read(feed));
      },
    });
  }

  new Counter({
    name: "plenum_host_dropped_packets_total",
    help: "Packets dropped, by wire id of the interface (0: none known) and reason",
    labelNames: ["interface", "reason"],
    registers,
    collect() {
      this.reset();
      for (const { wireId, reasonName, packets } of datapath.readDrops()) {
        if (packets > 0n) this.inc({ interface: String(wireId), reason: reasonName }, Number(packets));
      }
    },
  });
  const passes = new Histogram({
    name: "plenum_host_reconcile_duration_seconds",
    help: "Duration of passes of the reconciler",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
    registers,
  });
  const failures = new Counter({ name: "plenum_host_failed_steps_total", help: "Steps on the kernel that failed", registers });
  const lost = new Counter({
    name: "plenum_host_lost_total",
    help: "Devices and programs of the agent's that somebody removed or changed, found and made again",
    labelNames: ["what"],
    registers,
  });
  for (const what of LOST) lost.inc({ what }, 0);
  return {
    lost: (what, count) => lost.inc({ what }, count),
    passed: (seconds) => passes.observe(seconds),
    stepFailed: () => failures.inc(),
    received: (feed) => void last.set(feed, performance.now()),
  };
}
