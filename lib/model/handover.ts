import type { Configuration, Direction, Endpoint } from "./configuration.ts";
import type { Connection } from "./connection.ts";
import { drop, type Decision } from "./decision.ts";
import type { DropReason } from "./drop-reason.ts";
import { meterChange, type MeterChange, type Size } from "./metering.ts";
import { fitsTable, refusal, withConnection, withoutConnection, type State } from "./state.ts";

/** What a packet leads to. */
export interface Outcome {
  readonly decision: Decision;
  readonly state: State;
}

/** Nothing refused it. */
export interface Handed {
  readonly decision: undefined;
  readonly state: State;
}

/** An interface on the packet's way that has allowed it. */
export interface Allowed {
  readonly endpoint: Endpoint;
  readonly direction: Direction;
  /** To be written, if any. */
  readonly connection: Connection | undefined;
  readonly begins: boolean;
}

/**
 * The last checks, of all interfaces on the way: nothing passes unmetered, who sends to itself needs room for both connections, and the
 * host's table for all that begin. Only then is anything written; of one that was refused at its second interface, what lay idle at the
 * first is gone.
 */
export function checkHandover(configuration: Configuration, state: State, way: readonly Allowed[]): Outcome | Handed {
  const { meterIds, connectionTable } = configuration;
  const refuse = (reason: DropReason, { endpoint }: Allowed, left: State): Outcome => ({
    decision: drop(reason, endpoint.wireId),
    state: left,
  });
  const unmetered = way.find(({ endpoint }) => !meterIds.has(endpoint.meterId));
  if (unmetered !== undefined) return refuse("METER_MISSING", unmetered, state);
  let [written, left] = [state, state];
  for (const allowed of way) {
    const { connection, begins } = allowed;
    if (connection === undefined) continue;
    const { key } = connection;
    const refused = begins ? refusal(configuration, written, allowed.endpoint) : undefined;
    if (refused !== undefined) return refuse(refused, allowed, left);
    if (begins && !fitsTable(written, key, connectionTable)) return refuse("CONNECTION_TABLE", allowed, left);
    written = withConnection(written, connection);
    if (begins) left = withoutConnection(left, key);
  }
  return { decision: undefined, state: written };
}

export function meterChanges(way: readonly Allowed[], size: Size): MeterChange[] {
  return way.map(({ endpoint, direction }) => meterChange(endpoint, direction, size));
}
