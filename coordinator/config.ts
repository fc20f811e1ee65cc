import { key, readConfig, setting } from "#lib/config/config.ts";
import type { ConfigOf } from "#lib/config/config.ts";
import { QUOTAS } from "./identity/api.ts";
import type { QuotaName } from "./identity/api.ts";

const DAY_MS = 86_400_000;

/** What an account may have that an operator gave no limit of its own. */
const quotaKey = (name: QuotaName, what: string) =>
  key({
    env: `PLENUM_COORDINATOR_QUOTA_${name.toUpperCase().replaceAll("-", "_")}`,
    flag: `coordinator-quota-${name}`,
    schema: setting.integer(0, 1_000_000_000).default(QUOTAS[name].maximum),
    description: `${what}; the same in every copy: the one that started last decides`,
  });

/** Every setting of the coordinator. */
export const COORDINATOR_CONFIG = {
  connections: key({
    env: "PLENUM_COORDINATOR_CONNECTIONS",
    flag: "coordinator-connections",
    schema: setting.integer(2, 1_000).default(20),
    description: "Connections to PostgreSQL at most, for calls; four more keep the leases of hosts",
  }),
  checkEveryMs: key({
    env: "PLENUM_COORDINATOR_CHECK_MS",
    flag: "coordinator-check-ms",
    schema: setting.integer(10, DAY_MS).default(1_000),
    description: "Milliseconds between comparisons of open sessions' versions with the database's (C2)",
  }),
  sweepEveryMs: key({
    env: "PLENUM_COORDINATOR_SWEEP_MS",
    flag: "coordinator-sweep-ms",
    schema: setting.integer(100, DAY_MS).default(60_000),
    description: "Milliseconds between removals of what is only kept for a while",
  }),
  keepChangesSeconds: key({
    env: "PLENUM_COORDINATOR_KEEP_CHANGES_S",
    flag: "coordinator-keep-changes-s",
    schema: setting.integer(1, 30 * 86_400).default(3_600),
    description: "Seconds for which changes stay in the log; who was away for longer starts from a snapshot",
  }),
  hostLeaseMs: key({
    env: "PLENUM_COORDINATOR_HOST_LEASE_MS",
    flag: "coordinator-host-lease-ms",
    schema: setting.integer(10_000, DAY_MS).default(15_000),
    description:
      "Milliseconds after its last word until a host counts as silent (agents speak every 2 s), and of patience with all hosts after nobody could hear them; the same in every copy: the one that started last decides",
  }),
  maxWatches: key({
    env: "PLENUM_COORDINATOR_MAX_WATCHES",
    flag: "coordinator-max-watches",
    schema: setting.integer(1, 100_000).default(64),
    description: "Open watches of interfaces of one account (or of all operators) in one process at most",
  }),
  quotaVpcs: quotaKey("vpcs", "VPCs that an account may own"),
  quotaVpcsPerDay: quotaKey("vpcs-per-day", "VPCs that an account may make on one day (UTC): each uses up a VNI for good (D1)"),
  quotaSubnetsPerVpc: quotaKey("subnets-per-vpc", "Subnets that a VPC may have"),
  quotaSecurityGroupsPerVpc: quotaKey("security-groups-per-vpc", "Security groups that a VPC may have, its default group included"),
  quotaGroupSetsPerVpc: quotaKey(
    "group-sets-per-vpc",
    "Different combinations of security groups that a VPC's interfaces may have, those of the last hours included",
  ),
  quotaInterfaces: quotaKey("interfaces", "Interface records that an account may own"),
} as const;

export type CoordinatorConfig = ConfigOf<typeof COORDINATOR_CONFIG>;

/** From the environment: the command line belongs to whoever composes services. Throws ConfigError. */
export function coordinatorConfig(): CoordinatorConfig {
  const names = Object.values(COORDINATOR_CONFIG).map(({ env }) => env);
  return readConfig(COORDINATOR_CONFIG, { args: [], env: Object.fromEntries(names.map((name) => [name, process.env[name]])) });
}

/** The quotas among them, by their names. */
export const quotasOf = (config: CoordinatorConfig): Readonly<Record<QuotaName, number>> => ({
  vpcs: config.quotaVpcs,
  "vpcs-per-day": config.quotaVpcsPerDay,
  "subnets-per-vpc": config.quotaSubnetsPerVpc,
  "security-groups-per-vpc": config.quotaSecurityGroupsPerVpc,
  "group-sets-per-vpc": config.quotaGroupSetsPerVpc,
  interfaces: config.quotaInterfaces,
});
