/** The coordinator's views that this service reads (C17); a contract test holds the coordinator to them. */
export const FEED_SCHEMA = "coordinator_feed";

/** Columns as `pg` gives them: bigint for int8, number for int4. */
export interface CoordinatorFeed {
  /** Networks that exist. */
  "coordinator_feed.network": { network_id: bigint; vni: number; vpc_id: string };
  /** One row per target: addresses of placed attachments that are not on their way out. */
  "coordinator_feed.mapping": {
    network_id: bigint;
    prefix: string;
    interface_id: string;
    attachment_id: string;
    wire_id: bigint;
    host_id: string;
    host_address: string;
    group_set_id: bigint;
    mac_address: string;
  };
  /** Hosts that have anything in the network, on its way out included: they may watch it. */
  "coordinator_feed.host_network": { host_id: string; network_id: bigint };
  /** Operators some of whose tokens count no more: all while disabled, else those issued before a time. */
  "coordinator_feed.barred_operator": { principal_id: string; disabled: boolean; tokens_not_before: Date | null };
  /** Hosts from which nothing is taken. */
  "coordinator_feed.barred_host": { host_id: string };
}

/** Columns by view, for the contract test. `scope` and `change` are read by lib/feed. */
export const COORDINATOR_FEED_COLUMNS = {
  network: ["network_id", "vni", "vpc_id"],
  mapping: ["network_id", "prefix", "interface_id", "attachment_id", "wire_id", "host_id", "host_address", "group_set_id", "mac_address"],
  host_network: ["host_id", "network_id"],
  barred_host: ["host_id"],
  barred_operator: ["principal_id", "disabled", "tokens_not_before"],
  scope: ["scope", "version", "mark"],
  change: ["scope", "version", "payload", "mark", "prev_mark"],
} as const;

/** The scope under which the coordinator numbers a network's changes (C1). */
export function networkScope(networkId: bigint): string {
  return `network:${networkId}`;
}
