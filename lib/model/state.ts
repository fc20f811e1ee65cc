import type { Configuration, Endpoint } from "./configuration.ts";
import { isIdle, keyText, type Connection, type ConnectionKey } from "./connection.ts";
import type { FirstFragment } from "./fragment.ts";

/** What earlier packets left behind. Immutable: a decision gives a new one. */
export interface State {
  /** By `keyText`. Idle ones may still lie here; nobody finds them. */
  readonly connections: ReadonlyMap<string, Connection>;
  /** By `fragmentKey`. */
  readonly fragments: ReadonlyMap<string, FirstFragment>;
}

export const NOTHING: State = { connections: new Map(), fragments: new Map() };

export function findConnection(state: State, key: ConnectionKey | undefined, now: number): Connection | undefined {
  const found = key && state.connections.get(keyText(key));
  return found === undefined || isIdle(found, now) ? undefined : found;
}

export function withConnection(state: State, connection: Connection): State {
  return { ...state, connections: new Map(state.connections).set(keyText(connection.key), connection) };
}

export function withoutConnection(state: State, key: ConnectionKey): State {
  const connections = new Map(state.connections);
  connections.delete(keyText(key));
  return { ...state, connections };
}

export function withFragment(state: State, key: string, fragment: FirstFragment): State {
  return { ...state, fragments: new Map(state.fragments).set(key, fragment) };
}

/** Why an interface may hold no more; undefined: it may. */
export function refusal(
  { endpoints, connectionCommon }: Configuration,
  state: State,
  endpoint: Endpoint,
): "CONNECTION_BUDGET" | "CONNECTION_SHARE" | undefined {
  if (held(state, endpoint) >= endpoint.connectionBudget) return "CONNECTION_BUDGET";
  const beyond = (one: Endpoint): number => held(state, one) - one.connectionShare;
  if (beyond(endpoint) < 0) return undefined;
  const taken = endpoints.map(beyond).filter((count) => count > 0);
  const left = connectionCommon - taken.reduce((sum, count) => sum + count, 0);
  return beyond(endpoint) < left ? undefined : "CONNECTION_SHARE";
}

/** Idle ones count as long as they lie there. */
function held({ connections }: State, { wireId }: Endpoint): number {
  return [...connections.values()].filter(({ key }) => key.wireId === wireId).length;
}

/** Whether the host's table takes a connection: one that is there already, idle or not, or one more. */
export function fitsTable({ connections }: State, key: ConnectionKey, room: number): boolean {
  return connections.has(keyText(key)) || connections.size < room;
}
