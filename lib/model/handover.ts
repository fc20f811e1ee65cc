import type { Configuration, Direction, Endpoint } from "./configuration.ts";
import type { Connection } from "./connection.ts";
import { drop, type Decision, type Drop } from "./decision.ts";
import { meterChange, type MeterChange, type Size } from "./metering.ts";
import { hasRoom, withConnection, type State } from "./state.ts";

/** What a packet leads to. */
export interface Outcome {
  readonly decision: Decision;
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
 * The last checks, of all interfaces on the way: nothing passes unmetered, and who sends to itself needs room for both connections.
 * Only then is anything written.
 */
export function checkHandover({ meterIds }: Configuration, state: State, way: readonly Allowed[]): { state: State } | Drop {
  const unmetered = way.find(({ endpoint }) => !meterIds.has(endpoint.meterId));
  if (unmetered !== undefined) return drop("METER_MISSING", unmetered.endpoint.wireId);
  let written = state;
  for (const { endpoint, connection, begins } of way) {
    if (begins && !hasRoom(written, endpoint.wireId, endpoint.connectionBudget)) return drop("CONNECTION_BUDGET", endpoint.wireId);
    if (connection !== undefined) written = withConnection(written, connection);
  }
  return { state: written };
}

export function meterChanges(way: readonly Allowed[], size: Size): MeterChange[] {
  return way.map(({ endpoint, direction }) => meterChange(endpoint, direction, size));
}
