import { Counter, Gauge } from "#lib/metrics/metrics.ts";
import type { Registry } from "#lib/metrics/metrics.ts";
import type { NetworkFeed } from "./core/network-feed.ts";

/** What is measured, read at each scrape. */
export interface MappingLevels {
  readonly feeds: () => readonly NetworkFeed[];
  /** Subscriptions of all streams. */
  readonly watches: () => number;
}

export interface MappingMetrics {
  stream(change: 1 | -1): void;
  frame(octets: number): void;
  change(): void;
  fault(): void;
}

/** The service's metrics, registered; names are for ever. */
export function mappingMetrics(registry: Registry, levels: MappingLevels): MappingMetrics {
  const registers = [registry];
  const level = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  const sum = (of: (feed: NetworkFeed) => number): number => levels.feeds().reduce((total, feed) => total + of(feed), 0);
  level("plenum_mapping_networks", "Networks in memory.", () => levels.feeds().length);
  level("plenum_mapping_prefixes", "Prefixes of all networks in memory.", () => sum((feed) => feed.table.prefixes));
  level("plenum_mapping_targets", "Targets of all networks in memory.", () => sum((feed) => feed.table.targets));
  level("plenum_mapping_table_bytes", "Memory of the tables outside the JavaScript heap.", () => sum((feed) => feed.table.octets));
  level("plenum_mapping_watches", "Networks watched, summed over hosts.", levels.watches);
  const streams = new Gauge({ name: "plenum_mapping_streams", help: "Open WatchMappings streams.", registers });
  const frames = new Counter({ name: "plenum_mapping_frames_total", help: "Messages sent to watching hosts.", registers });
  const octets = new Counter({ name: "plenum_mapping_frame_bytes_total", help: "Bytes of messages sent to watching hosts.", registers });
  const changes = new Counter({
    name: "plenum_mapping_changes_total",
    help: "Changes and snapshots taken in from the coordinator.",
    registers,
  });
  const faults = new Counter({
    name: "plenum_mapping_broken_items_total",
    help: "Mappings left out because a field was broken.",
    registers,
  });
  return {
    stream: (change) => streams.inc(change),
    frame(size) {
      frames.inc();
      octets.inc(size);
    },
    change: () => changes.inc(),
    fault: () => faults.inc(),
  };
}
