import type { Datapath, Mapping, MappingBatch } from "../../host-agent/core/ports.ts";
import { BpfMap } from "../../host-agent/out/datapath/bpf-map.ts";
import { encodeMappingKeys, encodeMappings } from "../../host-agent/out/datapath/codec.ts";
import { MAPS } from "../../host-agent/out/datapath/layout.gen.ts";
import { check, mapCreate } from "../../host-agent/out/datapath/libbpf.ts";
import { batchesOf } from "../../host-agent/testing/mapping-batches.ts";

const VNI = 700;
/** As many as the reconciler writes with one call (host-agent/core/mappings.ts). */
const BATCH = 4_096;
/** Of the entries, written one by one: more would only take longer. */
const SINGLES = 50_000;

/** Microseconds of the processor's time an entry. */
export interface PortCosts {
  /** The system call alone, on a map of the same kind. */
  floor: number;
  /** The agent's port, for addresses that are known not to be there; for others; one a call. */
  fresh: number;
  looked: number;
  single: number;
}

function mappingOf(i: number): Mapping {
  const prefix = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}/32`;
  return { vni: VNI, prefix, hostAddress: `198.18.0.${i % 100}`, wireId: i + 1, groupSetId: i % 7 };
}

const batchOf = (from: number, count: number): MappingBatch[] => batchesOf(Array.from({ length: count }, (_, i) => mappingOf(from + i)));

/** Ends with the maps as empty as they were. */
export function portCosts(datapath: Datapath, count: number): PortCosts {
  const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, i) => batchOf(i * BATCH, Math.min(BATCH, count - i * BATCH))).flat();
  const singles = Array.from({ length: Math.min(SINGLES, count) }, (_, i) => batchOf(i, 1)).flat();
  const remove = (all: readonly MappingBatch[]): void => all.forEach((batch) => datapath.deleteMappings(batch));
  const single = timed(singles, (batch) => datapath.putMappings(batch));
  remove(singles);
  const looked = timed(batches, (batch) => datapath.putMappings(batch));
  remove(batches);
  const fresh = timed(batches, (batch) => datapath.putMappings(batch, true));
  remove(batches);
  return { floor: floor(batches), fresh, looked, single };
}

function floor(batches: readonly MappingBatch[]): number {
  const { type, keySize, valueSize, maxEntries, flags } = MAPS.mappings;
  const opts = Buffer.alloc(48); // struct bpf_map_create_opts: its size, and map_flags
  opts.writeBigUInt64LE(48n, 0);
  opts.writeUInt32LE(flags, 28);
  const map = BpfMap.own("mappings", check(mapCreate(type, "floor", keySize, valueSize, maxEntries, opts), "make a map"));
  const encoded = batches.map((batch) => ({ keys: encodeMappingKeys(batch), values: encodeMappings(batch), count: batch.count }));
  try {
    return timed(encoded, ({ keys, values, count }) => map.putMany(keys, values, count));
  } finally {
    map.close();
  }
}

function timed<T extends { count: number }>(all: readonly T[], call: (one: T) => void): number {
  const cpu = process.cpuUsage();
  for (const one of all) call(one);
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / all.reduce((sum, { count }) => sum + count, 0);
}
