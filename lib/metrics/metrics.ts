import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Bus } from "../bus/bus.ts";
import type { ScopeReaderStats } from "../feed/feed.ts";
import type { CallObserver } from "../rpc/rpc.ts";

export { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Gauges of prom-client's whose names end like a counter's: promtool refuses them. */
const MISNAMED = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** A process's metrics, with those of Node itself. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  return registry;
}

/** Times every call by RPC and outcome. Give it to `startServer` as `observe`. */
export function rpcMetrics(registry: Registry): CallObserver {
  const histogram = new Histogram({
    name: "plenum_rpc_duration_seconds",
    help: "Duration of calls served, by RPC and status; a stream counts when it ends",
    labelNames: ["method", "code"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return ({ method, code, seconds }) => histogram.observe({ method, code }, seconds);
}

/** Counts calls that were refused because their caller calls too often. Give it to `createThrottle` as `refused`. */
export function throttleMetrics(registry: Registry): (kind: string, bound: string) => void {
  const counter = new Counter({
    name: "plenum_rpc_throttled_calls_total",
    help: "Calls refused because their caller called too often, or too many waited, by kind of caller and the bound that was met",
    labelNames: ["caller", "bound"],
    registers: [registry],
  });
  return (caller, bound) => counter.inc({ caller, bound });
}

/** How many calls wait for what they began. */
export function waitingMetrics(registry: Registry, throttle: { waiting(): number }): void {
  new Gauge({
    name: "plenum_rpc_waiting_calls",
    help: "Calls of accounts that may wait for something now",
    registers: [registry],
    collect() {
      this.set(throttle.waiting());
    },
  });
}

/** Counts refused calls that the audit has no entry of. Give it to `startRefusalLog` as `dropped`. */
export function refusalMetrics(registry: Registry): (count: number) => void {
  const counter = new Counter({
    name: "plenum_audit_dropped_refusals_total",
    help: "Calls refused at the door that are in no entry of the audit, for want of room or because it cannot hold them",
    registers: [registry],
  });
  return (count) => counter.inc(count);
}

/** Whether the bus is there, and what it carried and dropped. */
export function busMetrics(registry: Registry, bus: Pick<Bus, "stats">): void {
  new Gauge({
    name: "plenum_bus_connected",
    help: "1 while the bus is connected; feeds are slower without it, never stale",
    registers: [registry],
    collect() {
      this.set(bus.stats().connected ? 1 : 0);
    },
  });
  countOf(registry, "plenum_bus_published_messages_total", "Messages handed to the bus", () => bus.stats().published);
  countOf(registry, "plenum_bus_dropped_messages_total", "Messages dropped while the bus was away", () => bus.stats().dropped);
}

/** How followers of scopes learn of changes: rows growing faster than hints means that hints are lost. */
export function feedMetrics(registry: Registry, reader: { stats(): ScopeReaderStats }, feed: string): void {
  const followers = `plenum_feed_${feed}_followers`;
  new Gauge({
    name: followers,
    help: "Scopes followed now",
    registers: [registry],
    collect() {
      this.set(reader.stats().followers);
    },
  });
  countOf(registry, `plenum_feed_${feed}_snapshots_total`, "Snapshots read", () => reader.stats().snapshots);
  countOf(registry, `plenum_feed_${feed}_hinted_changes_total`, "Changes taken from hints", () => reader.stats().hints);
  countOf(registry, `plenum_feed_${feed}_logged_changes_total`, "Changes read from the log", () => reader.stats().rows);
}

/** A counter whose count is kept elsewhere. */
function countOf(registry: Registry, name: string, help: string, read: () => number): void {
  let seen = 0;
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      const now = read();
      this.inc(now - seen);
      seen = now;
    },
  });
}
