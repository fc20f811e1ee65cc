import type { BpfMap } from "./bpf-map.ts";
import { NotCarried } from "./convert-layout.ts";
import { withForeign, type DescribedMap } from "./foreign-map.ts";
import { STRUCTS } from "./layout.gen.ts";
import * as libbpf from "./libbpf.ts";
import type { PinSet } from "./pins.ts";

/** As bpf/import_connections.h has it; less where that would not fit into a page. */
const IMPORT_MAX = 32;
const STATE = STRUCTS.connection.fields.state;
const AT_ONCE = Math.min(IMPORT_MAX, Math.floor(3000 / STATE.size));

/** A packet with no entry in it (a packet has 14 octets at least): lists of those without a timer are gone through. */
const NO_ENTRY = Buffer.alloc(14);
/** How often that is tried: each takes a good part of a second, and where the kernel has no memory for timers it makes little room. */
const SWEEPS = 8;
/** Programs read a coarse clock, processors' clocks differ: by far less. */
const CLOCK_MARGIN_NS = 1_000_000_000n;

/**
 * Brings the connections of another set into `own`, where programs may be running: none that is there is touched, each that is brought
 * is counted in its interface's budget, and will expire. May be repeated.
 *
 * @param program descriptor of import_connections, of this version
 * @param since only those that were seen later than this (CLOCK_MONOTONIC, nanoseconds), or a little earlier
 * @returns what could not be carried, in words
 * @throws KernelError
 */
export function carryConnections(set: PinSet, own: BpfMap, program: number, since?: bigint): string[] {
  let refused = 0;
  let sweeps = 0;
  const run = (states: readonly Buffer[]): number => {
    const { result, returned } = libbpf.testRun(program, Buffer.concat([...states]));
    return libbpf.check(result, "import connections") + returned;
  };
  const send = (states: readonly Buffer[]): void => {
    let left = states.length === 0 ? 0 : run(states);
    if (left > 0 && sweeps < SWEEPS) {
      sweeps += 1;
      run([NO_ENTRY]);
      left = run(states);
    }
    refused += left;
  };
  try {
    withForeign(set, own, (old, convert) => {
      const seenAt = since === undefined ? undefined : lastSeenOf(old);
      const after = (since ?? 0n) - CLOCK_MARGIN_NS;
      let states: Buffer[] = [];
      for (const [, value] of old.map.entries()) {
        if (seenAt !== undefined && value.readBigUInt64LE(seenAt) < after) continue;
        states.push(convert.value(value).subarray(STATE.offset, STATE.offset + STATE.size));
        if (states.length < AT_ONCE) continue;
        send(states);
        states = [];
      }
      send(states);
    });
  } catch (error) {
    if (!(error instanceof NotCarried)) throw error;
    return [`connections begins empty: ${error.message}`];
  }
  return refused > 0 ? [`connections: ${refused} found no room`] : [];
}

/** Where a connection of another version says when it was seen; undefined: nowhere. */
function lastSeenOf({ layout }: DescribedMap): number | undefined {
  const state = layout.structs[layout.value ?? ""]?.fields["state"];
  const seen = layout.structs[state?.struct ?? ""]?.fields["last_seen"];
  return state === undefined || seen?.size !== 8 ? undefined : state.offset + seen.offset;
}
