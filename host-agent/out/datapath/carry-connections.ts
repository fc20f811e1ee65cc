import type { BpfMap } from "./bpf-map.ts";
import { NotCarried } from "./convert-layout.ts";
import { withForeign } from "./foreign-map.ts";
import { STRUCTS } from "./layout.gen.ts";
import * as libbpf from "./libbpf.ts";
import type { PinSet } from "./pins.ts";

/** As bpf/import_connections.h has it; less where that would not fit into a page. */
const IMPORT_MAX = 32;
const STATE = STRUCTS.connection.fields.state;
const AT_ONCE = Math.min(IMPORT_MAX, Math.floor(3000 / STATE.size));

/**
 * Brings the connections of another set into `own`, where programs may be running: none that is there is touched, each that is brought
 * is counted in its interface's budget, and will expire. May be repeated.
 *
 * @param program descriptor of import_connections, of this version
 * @returns what could not be carried, in words
 * @throws KernelError
 */
export function carryConnections(set: PinSet, own: BpfMap, program: number): string[] {
  let refused = 0;
  const send = (states: readonly Buffer[]): void => {
    if (states.length === 0) return;
    const { result, returned } = libbpf.testRun(program, Buffer.concat([...states]));
    libbpf.check(result, "import connections");
    refused += returned;
  };
  try {
    withForeign(set, own, (old, convert) => {
      let states: Buffer[] = [];
      for (const [, value] of old.map.entries()) {
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
