import type { Configuration, Direction, Endpoint } from "./configuration.ts";
import { keyText, type Connection } from "./connection.ts";
import { drop, type Decision, type Drop } from "./decision.ts";
import { meterChange, type MeterChange, type Size } from "./metering.ts";
import { countConnections, withConnection, type State } from "./state.ts";

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
}

/** The last checks, of all interfaces on the way, before anything is written: nothing passes unmetered or beyond a budget. */
export function checkHandover({ meterIds }: Configuration, state: State, way: readonly Allowed[]): { state: State } | Drop {
  const unmetered = way.find(({ endpoint }) => !meterIds.has(endpoint.meterId));
  if (unmetered !== undefined) return drop("METER_MISSING", unmetered.endpoint.wireId);
  let after = state;
  for (const { endpoint, connection } of way) {
    if (connection === undefined) continue;
    const isNew = !after.connections.has(keyText(connection.key));
    if (isNew && countConnections(after, endpoint.wireId) >= endpoint.connectionBudget) return drop("CONNECTION_BUDGET", endpoint.wireId);
    after = withConnection(after, connection);
  }
  return { state: after };
}

export function meterChanges(way: readonly Allowed[], size: Size): MeterChange[] {
  return way.map(({ endpoint, direction }) => meterChange(endpoint, direction, size));
}
