import { candidates, opposite, type Connection } from "./connection.ts";
import { readQuotedIpv4 } from "./ipv4.ts";
import type { Passage } from "./judge.ts";
import { findConnection, type State } from "./state.ts";
import { readQuotedTransport } from "./transport.ts";

/** The connection that an ICMP error is about: the one of the packet inside, which passed the interface the other way. */
export function findQuoted(state: State, now: number, { endpoint, direction }: Passage, quoted: Buffer): Connection | undefined {
  const ip = readQuotedIpv4(quoted);
  const transport = ip && readQuotedTransport(ip);
  if (ip === undefined || transport === undefined) return undefined;
  const { asSent, asAnswer } = candidates(endpoint.wireId, opposite(direction), ip, transport);
  return findConnection(state, asSent, now) ?? findConnection(state, asAnswer, now);
}
