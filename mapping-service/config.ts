import { key, readConfig, setting } from "#lib/config/config.ts";
import type { ConfigOf } from "#lib/config/config.ts";

const DAY_MS = 86_400_000;
const milliseconds = (least: number, standard: number) => setting.integer(least, DAY_MS).default(standard);

/** Every setting of the service. */
export const MAPPING_CONFIG = {
  checkEveryMs: key({
    env: "PLENUM_MAPPING_CHECK_MS",
    flag: "mapping-check-ms",
    schema: milliseconds(10, 1_000),
    description: "Milliseconds between comparisons of the versions in memory with the database's (C2)",
  }),
  idleMs: key({
    env: "PLENUM_MAPPING_IDLE_MS",
    flag: "mapping-idle-ms",
    schema: milliseconds(100, 300_000),
    description: "Milliseconds after which a network that nobody uses leaves memory",
  }),
  retryMs: key({
    env: "PLENUM_MAPPING_RETRY_MS",
    flag: "mapping-retry-ms",
    schema: milliseconds(1, 1_000),
    description: "Milliseconds until a network whose following failed is loaded anew",
  }),
  recheckMs: key({
    env: "PLENUM_MAPPING_RECHECK_MS",
    flag: "mapping-recheck-ms",
    schema: milliseconds(1, 250),
    description: "Milliseconds after a network's change until its hosts' right to watch it is looked at again",
  }),
  authoritySweepMs: key({
    env: "PLENUM_MAPPING_AUTHORITY_SWEEP_MS",
    flag: "mapping-authority-sweep-ms",
    schema: milliseconds(10, 10_000),
    description: "Milliseconds between looks at every host's right to watch",
  }),
  loadLimitMs: key({
    env: "PLENUM_MAPPING_LOAD_LIMIT_MS",
    flag: "mapping-load-limit-ms",
    schema: milliseconds(10, 10_000),
    description: "Milliseconds that a lookup waits for a network that is not in memory",
  }),
  snapshotRecords: key({
    env: "PLENUM_MAPPING_SNAPSHOT_RECORDS",
    flag: "mapping-snapshot-records",
    schema: setting.integer(1, 262_144).default(8_192),
    description: "Records of 30 octets in one snapshot message, about",
  }),
  leastLogOctets: key({
    env: "PLENUM_MAPPING_LEAST_LOG_BYTES",
    flag: "mapping-least-log-bytes",
    schema: setting.integer(0, 1_073_741_824).default(65_536),
    description: "Bytes of changes kept for slow hosts in any case; more as long as they cost less than a snapshot",
  }),
} as const;

export type MappingConfig = ConfigOf<typeof MAPPING_CONFIG>;

/** The settings of an environment; what is not ours in it is somebody else's to judge. Throws ConfigError. */
export function mappingConfig(env: Readonly<Record<string, string | undefined>> = process.env): MappingConfig {
  const own = Object.values(MAPPING_CONFIG).map(({ env: name }) => [name, env[name]]);
  return readConfig(MAPPING_CONFIG, { args: [], env: Object.fromEntries(own) as Record<string, string | undefined> });
}
