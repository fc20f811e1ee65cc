import { z } from "zod";

const milliseconds = (least: number, standard: number) => z.coerce.number().int().min(least).max(86_400_000).default(standard);

/** Every key of the service, with its environment variable, bounds and default. */
const KEYS = {
  /** Versions of the networks in memory are compared with the database's this often (C2). */
  checkEveryMs: { env: "PLENUM_MAPPING_CHECK_MS", schema: milliseconds(10, 1_000) },
  /** A network that nobody used for so long leaves memory. */
  idleMs: { env: "PLENUM_MAPPING_IDLE_MS", schema: milliseconds(100, 300_000) },
  /** A network whose following failed is loaded anew after this. */
  retryMs: { env: "PLENUM_MAPPING_RETRY_MS", schema: milliseconds(1, 1_000) },
  /** After a change of a network, whether its watchers still may watch it is looked at no more often than this. */
  recheckMs: { env: "PLENUM_MAPPING_RECHECK_MS", schema: milliseconds(1, 250) },
  /** Whether all watchers still may watch is looked at this often. */
  authoritySweepMs: { env: "PLENUM_MAPPING_AUTHORITY_SWEEP_MS", schema: milliseconds(10, 10_000) },
  /** A lookup waits at most so long for a network that is not in memory. */
  loadLimitMs: { env: "PLENUM_MAPPING_LOAD_LIMIT_MS", schema: milliseconds(10, 10_000) },
  /** Records in one snapshot message, about; 30 octets each. */
  snapshotRecords: { env: "PLENUM_MAPPING_SNAPSHOT_RECORDS", schema: z.coerce.number().int().min(1).max(262_144).default(8_192) },
  /** Changes of a network are kept for slow hosts at least up to so many octets, and as long as they cost less than a snapshot. */
  leastLogOctets: { env: "PLENUM_MAPPING_LEAST_LOG_BYTES", schema: z.coerce.number().int().min(0).default(65_536) },
} as const;

export type MappingConfig = Readonly<Record<keyof typeof KEYS, number>>;

/** The configuration of an environment. Throws with the variable's name when a value cannot be. */
export function mappingConfig(env: Readonly<Record<string, string | undefined>> = process.env): MappingConfig {
  const entries = Object.entries(KEYS).map(([key, { env: name, schema }]) => {
    const parsed = schema.safeParse(env[name]);
    if (!parsed.success) throw new Error(`${name}: ${parsed.error.issues[0]?.message ?? "is not acceptable"}`);
    return [key, parsed.data] as const;
  });
  return Object.fromEntries(entries) as MappingConfig;
}
