import { Lab } from "../host-agent/out/datapath/testing/lab.ts";
import type { Mapping } from "../host-agent/core/ports.ts";
import { SCHEMA } from "../host-agent/out/datapath/index.ts";
import { wholePath } from "./lib/mapping-path.ts";
import { benchOptions } from "./lib/options.ts";
import { runNow } from "./lib/process.ts";
import { table } from "./lib/report.ts";
import { bench } from "./lib/run.ts";
import { spreadText } from "./lib/stats.ts";

// A network of a million addresses: memory of an entry in the kernel and in the service, and how long it takes from the service's memory
// into a host's kernel. The peer in the same run is one call an entry. DESIGN 6: at most 150 bytes each, at most 3 s.

const VNI = 700;
/** As many as the reconciler writes with one call (host-agent/core/mappings.ts). */
const BATCH = 4_096;
/** Of the entries, written one by one: more would only take longer. */
const SINGLES = 100_000;

const { count, pairs } = benchOptions({ count: 1_000_000, pairs: 3 });
await bench("mappings", async (report, cleanup) => {
  const lab = new Lab();
  cleanup(() => lab.dispose());
  const host = lab.host("h1", "198.18.0.1");
  const { datapath } = host;
  const all = Array.from({ length: count }, (_, i) => mapping(i));
  const kernelBytes = (): number => {
    const map = runNow("bpftool", "-j", "map", "show", "pinned", `${host.options.bpffsDir}/${SCHEMA}/maps/mappings`);
    return (JSON.parse(map) as { bytes_memlock: number }).bytes_memlock;
  };
  const empty = kernelBytes();
  let full = NaN;
  const samples: { batchedUs: number; singleUs: number; batchedMs: number }[] = [];
  for (let round = 0; round < pairs; round++) {
    const single = timed(Math.min(SINGLES, count), (i) => datapath.putMappings([all[i]!]));
    remove(datapath, all.slice(0, SINGLES));
    const start = performance.now();
    for (let from = 0; from < count; from += BATCH) datapath.putMappings(all.slice(from, from + BATCH));
    const batchedMs = performance.now() - start;
    full = kernelBytes();
    remove(datapath, all);
    const sample = { batchedUs: (1e3 * batchedMs) / count, singleUs: single, batchedMs };
    samples.push(sample);
    report.sample(sample);
  }
  all.length = 0;
  report.say(
    `${count} entries, ${pairs} rounds, medians (middle half); the agent's port, its batches of ${BATCH} against one call an entry`,
  );
  const row = (text: string, of: (s: (typeof samples)[0]) => number): string[] => [text, spreadText(samples.map(of))];
  const rows = [
    row("batched, µs an entry", (s) => s.batchedUs),
    row("single, µs an entry", (s) => s.singleUs),
    row("batched / single", (s) => s.batchedUs / s.singleUs),
    row("all, batched, s", (s) => s.batchedMs / 1e3),
  ];
  report.say(table(rows).join("\n"));
  report.say(
    `kernel: ${((full - empty) / count).toFixed(1)} bytes an entry and ${(empty / count).toFixed(1)} for the empty table, by the kernel's own account`,
  );

  const path = await wholePath(datapath, count);
  report.sample({ ...path });
  const s = (ms: number): string => `${(ms / 1e3).toFixed(2)} s`;
  report.say(`service: ${path.serviceBytesEach.toFixed(1)} bytes an entry, loaded from PostgreSQL in ${s(path.loadMs)}`);
  report.say(`wire: ${path.wireBytesEach.toFixed(1)} bytes an entry`);
  report.say(
    `service's memory to the host's kernel: ${s(path.kernelMs)}, of which packing, TLS, gRPC and unpacking ${s(path.receivedMs)}, comparing and writing ${s(path.kernelMs - path.receivedMs)}`,
  );
});

function mapping(i: number): Mapping {
  const prefix = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}/32`;
  return { vni: VNI, prefix, hostAddress: `198.18.0.${i % 100}`, wireId: i + 1, groupSetId: i % 7 };
}

/** Microseconds a call. */
function timed(calls: number, call: (i: number) => void): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) call(i);
  return (1e3 * (performance.now() - start)) / calls;
}

function remove(datapath: { deleteMappings(keys: readonly Mapping[]): void }, mappings: readonly Mapping[]): void {
  for (let from = 0; from < mappings.length; from += BATCH) datapath.deleteMappings(mappings.slice(from, from + BATCH));
}
