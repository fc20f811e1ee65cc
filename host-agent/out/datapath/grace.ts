import { closeSync } from "node:fs";
import * as libbpf from "./libbpf.ts";
import { u32 } from "./record.ts";

const ARRAY = 2;
const ARRAY_OF_MAPS = 12;
/** struct bpf_map_create_opts, and where it names the map that elements are like. */
const OPTS = { size: 48, innerMap: 24 };

/**
 * Returns when no program runs any more that had begun before: whoever was swapped out has counted its last packet. A change of a map
 * of maps waits for just that in the kernel (6.1 and later), before it returns; tens of milliseconds.
 *
 * @throws KernelError
 */
export function waitForPrograms(): void {
  const inner = libbpf.check(libbpf.mapCreate(ARRAY, "plenum_grace_in", 4, 4, 1, null), "make a map");
  try {
    const opts = Buffer.alloc(OPTS.size);
    opts.writeBigUInt64LE(BigInt(OPTS.size), 0);
    opts.writeUInt32LE(inner, OPTS.innerMap);
    const outer = libbpf.check(libbpf.mapCreate(ARRAY_OF_MAPS, "plenum_grace", 4, 4, 1, opts), "make a map of maps");
    try {
      libbpf.check(libbpf.mapUpdate(outer, u32(0), u32(inner), 0n), "wait for running programs");
    } finally {
      closeSync(outer);
    }
  } finally {
    closeSync(inner);
  }
}
