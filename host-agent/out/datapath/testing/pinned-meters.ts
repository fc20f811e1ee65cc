import type { MeterReading } from "../../../core/ports.ts";
import { BpfMap, type MapName } from "../bpf-map.ts";
import { Carried } from "../carried.ts";
import { decodeEndpoint } from "../codec.ts";
import { Counters } from "../counters.ts";
import { SCHEMA } from "../layout.gen.ts";
import { getPinned, isComplete, PinSet } from "../pins.ts";

const NAMES = ["meters", "drops", "epochs", "endpoints"] as const satisfies readonly MapName[];

/** The readings of the interface with this address, as an agent of this version has them that owns this directory, beside it. */
export function pinnedMeters(bpffsDir: string, address: string): MeterReading[] {
  const set = new PinSet(bpffsDir, SCHEMA);
  const fds = getPinned(set.maps, NAMES);
  if (!isComplete(fds, NAMES)) throw new Error(`no agent of this version has been at ${bpffsDir}`);
  const maps = Object.fromEntries(NAMES.map((name) => [name, BpfMap.own(name, fds[name])])) as Record<(typeof NAMES)[number], BpfMap>;
  const counters = new Counters(maps);
  try {
    counters.carry(new Carried(set));
    const endpoints = [...maps.endpoints.entries()].map(([, value]) => decodeEndpoint(value));
    const meterId = endpoints.find(({ addresses }) => addresses.includes(address))?.meterId;
    return counters.readMeters().filter((reading) => reading.meterId === meterId);
  } finally {
    counters.close();
    for (const map of Object.values(maps)) map.close();
  }
}
