import type { Configuration, Direction, Endpoint, Rule } from "./configuration.ts";
import { candidates, isEcho, type Connection, type ConnectionKey } from "./connection.ts";
import type { DropReason } from "./drop-reason.ts";
import { findQuoted } from "./icmp-error.ts";
import type { Ipv4 } from "./ipv4.ts";
import { dependsOnPort, isAllowed, ruledPort, type Question } from "./rules.ts";
import { findConnection, type State } from "./state.ts";
import { ICMP, type Transport } from "./transport.ts";

/** A packet at an interface. */
export interface Passage {
  readonly endpoint: Endpoint;
  readonly direction: Direction;
  readonly ip: Ipv4;
  readonly transport: Transport;
  /** Groups of the other side, as far as known. */
  readonly groupSetId: number;
}

/** Allowed: `connection` is what is to be written if the packet is handed over. Denied: `deleted` goes at once. */
export type Judgement =
  | { readonly allowed: true; readonly connection: Connection | undefined }
  | { readonly allowed: false; readonly reason: DropReason; readonly deleted: ConnectionKey | undefined };

/** By the connection that the packet belongs to, else by the rules (docs/design/connections.md). */
export function judge(configuration: Configuration, state: State, now: number, passage: Passage): Judgement {
  const { endpoint, direction, ip, transport } = passage;
  if (transport.kind === "icmp-error") {
    const named = findQuoted(state, now, passage, transport.quoted);
    // The error may come from a router on the way, whose groups say nothing of the connection's peer.
    if (named !== undefined) return forget(judgeAgain(configuration, passage, { ...named, lastSeen: now }, named.groupSetId));
  }
  const { asSent, asAnswer } = candidates(endpoint.wireId, direction, ip, transport);
  const sent = findConnection(state, asSent, now);
  if (sent !== undefined) return judgeAgain(configuration, passage, touched(sent, passage, now), passage.groupSetId);
  const answered = findConnection(state, asAnswer, now);
  if (answered !== undefined)
    return judgeAgain(configuration, passage, { ...touched(answered, passage, now), answered: true }, passage.groupSetId);
  return judgeAnew(configuration, passage, asSent, now);
}

/** Nothing is to be written. */
function forget(judgement: Judgement): Judgement {
  return judgement.allowed ? { allowed: true, connection: undefined } : judgement;
}

function touched(connection: Connection, { transport }: Passage, now: number): Connection {
  const closing = connection.closing || (transport.kind === "ports" && transport.closing);
  return { ...connection, lastSeen: now, closing };
}

/** A packet of a connection: rules are asked only if what it rests on has changed, and in its own direction. */
function judgeAgain(configuration: Configuration, { endpoint }: Passage, connection: Connection, groupSetId: number): Judgement {
  const { key } = connection;
  const { rulesetId } = endpoint;
  if (connection.rulesetId === rulesetId && connection.groupSetId === groupSetId) return { allowed: true, connection };
  const rules = rulesOf(configuration, endpoint);
  if (rules === undefined) return { allowed: false, reason: "RULESET_MISSING", deleted: undefined };
  const { direction, protocol } = key;
  const port = isEcho(key) ? ICMP.echoRequest : key.destinationPort;
  const peer = direction === "egress" ? key.destination : key.source;
  if (isAllowed(rules, { direction, protocol, port, peer, groupSetId }))
    return { allowed: true, connection: { ...connection, rulesetId, groupSetId } };
  return { allowed: false, reason: denial(direction), deleted: key };
}

/** A packet that belongs to none. If it can, a connection begins with it. */
function judgeAnew(configuration: Configuration, passage: Passage, key: ConnectionKey | undefined, now: number): Judgement {
  const { endpoint, direction, ip, transport, groupSetId } = passage;
  const rules = rulesOf(configuration, endpoint);
  if (rules === undefined) return { allowed: false, reason: "RULESET_MISSING", deleted: undefined };
  const peer = direction === "egress" ? ip.destination : ip.source;
  const question: Question = { direction, protocol: ip.protocol, port: ruledPort(transport), peer, groupSetId };
  if (!isAllowed(rules, question)) {
    const reason = dependsOnPort(rules, question) ? "FRAGMENT" : denial(direction);
    return { allowed: false, reason, deleted: undefined };
  }
  const { rulesetId } = endpoint;
  const closing = transport.kind === "ports" && transport.closing;
  const connection = key && { key, rulesetId, groupSetId, lastSeen: now, answered: false, closing };
  return { allowed: true, connection };
}

function rulesOf({ rulesets }: Configuration, { rulesetId }: Endpoint): readonly Rule[] | undefined {
  return rulesets.find((ruleset) => ruleset.id === rulesetId)?.rules;
}

function denial(direction: Direction): DropReason {
  return direction === "egress" ? "RULE_EGRESS" : "RULE_INGRESS";
}
