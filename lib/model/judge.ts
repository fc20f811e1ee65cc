import type { Configuration, Direction, Endpoint, Rule } from "./configuration.ts";
import { afterPacket, candidates, isEcho, type Connection, type ConnectionKey } from "./connection.ts";
import type { DropReason } from "./drop-reason.ts";
import { findQuoted } from "./icmp-error.ts";
import type { Ipv4 } from "./ipv4.ts";
import { dependsOnPort, isAllowed, ruledPort, type Question } from "./rules.ts";
import { findConnection, refusal, type State } from "./state.ts";
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

/** Allowed: `connection` is what is to be written if the packet is handed over, and `begins` if it takes a place. Denied: `deleted` goes at once. */
export type Judgement =
  | { readonly allowed: true; readonly connection: Connection | undefined; readonly begins: boolean }
  | { readonly allowed: false; readonly reason: DropReason; readonly deleted: ConnectionKey | undefined };

/** By the connection that the packet belongs to, else by the rules (docs/design/connections.md). */
export function judge(configuration: Configuration, state: State, now: number, passage: Passage): Judgement {
  const { endpoint, direction, ip, transport } = passage;
  if (transport.kind === "icmp-error") return judgeError(configuration, state, now, passage, transport.quoted);
  const { asSent, asAnswer } = candidates(endpoint.wireId, direction, ip, transport);
  const sent = findConnection(state, asSent, now);
  if (sent !== undefined) return judgeAgain(configuration, passage, sent, now, touched(sent, passage));
  const answered = findConnection(state, asAnswer, now);
  if (answered !== undefined) return judgeAgain(configuration, passage, answered, now, { ...touched(answered, passage), answered: true });
  return judgeAnew(configuration, state, passage, asSent, now);
}

/** Flags are those of a header that is there: a later fragment has none. */
function touched(connection: Connection, { ip, transport }: Passage): Connection {
  if (transport.kind !== "ports" || ip.fragmentOffset > 0) return connection;
  const { opening, closing } = transport.tcp;
  if (opening && !closing && connection.closing) return { ...connection, answered: false, closing: false }; // begins anew
  return { ...connection, closing: connection.closing || closing };
}

/** A packet of a connection, which it changes. Rules are asked only if what it rests on has changed, and in its own direction. */
function judgeAgain(configuration: Configuration, passage: Passage, before: Connection, now: number, changed: Connection): Judgement {
  const { endpoint, groupSetId } = passage;
  const { rulesetId } = endpoint;
  if (before.rulesetId === rulesetId && before.groupSetId === groupSetId)
    return { allowed: true, begins: false, connection: afterPacket(before, changed, now) };
  const verdict = stillAllowed(configuration, endpoint, before.key, groupSetId);
  if (verdict === true)
    return { allowed: true, begins: false, connection: afterPacket(before, { ...changed, rulesetId, groupSetId }, now) };
  return { allowed: false, reason: verdict, deleted: verdict === "RULESET_MISSING" ? undefined : before.key };
}

/**
 * An error goes with the connection that it names, and changes nothing. It may come from a router on the way, whose groups say nothing
 * of the connection's peer: those that the connection remembers count.
 */
function judgeError(configuration: Configuration, state: State, now: number, passage: Passage, quoted: Buffer): Judgement {
  const { endpoint } = passage;
  const named = findQuoted(state, now, passage, quoted);
  if (named === undefined) return judgeAnew(configuration, state, passage, undefined, now);
  const verdict = named.rulesetId === endpoint.rulesetId || stillAllowed(configuration, endpoint, named.key, named.groupSetId);
  return verdict === true
    ? { allowed: true, begins: false, connection: undefined }
    : { allowed: false, reason: verdict, deleted: undefined };
}

/** Whether the present rules would let a connection begin as it did; else the reason. */
function stillAllowed(configuration: Configuration, endpoint: Endpoint, key: ConnectionKey, groupSetId: number): true | DropReason {
  const rules = rulesOf(configuration, endpoint);
  if (rules === undefined) return "RULESET_MISSING";
  const { direction, protocol } = key;
  const port = isEcho(key) ? ICMP.echoRequest : key.destinationPort;
  const peer = direction === "egress" ? key.destination : key.source;
  return isAllowed(rules, { direction, protocol, port, peer, groupSetId }) || denial(direction);
}

/** A packet that belongs to no connection. One begins with it, if it has a key, and there is room. */
function judgeAnew(
  configuration: Configuration,
  state: State,
  { endpoint, direction, ip, transport, groupSetId }: Passage,
  key: ConnectionKey | undefined,
  now: number,
): Judgement {
  const denied = (reason: DropReason): Judgement => ({ allowed: false, reason, deleted: undefined });
  const rules = rulesOf(configuration, endpoint);
  if (rules === undefined) return denied("RULESET_MISSING");
  const peer = direction === "egress" ? ip.destination : ip.source;
  const question: Question = { direction, protocol: ip.protocol, port: ruledPort(transport), peer, groupSetId };
  if (!isAllowed(rules, question)) return denied(dependsOnPort(rules, question) ? "FRAGMENT" : denial(direction));
  if (key === undefined) return { allowed: true, begins: false, connection: undefined };
  const refused = refusal(configuration, state, endpoint);
  if (refused !== undefined) return denied(refused);
  const closing = transport.kind === "ports" && transport.tcp.closing;
  return {
    allowed: true,
    begins: true,
    connection: { key, rulesetId: endpoint.rulesetId, groupSetId, lastSeen: now, answered: false, closing },
  };
}

function rulesOf({ rulesets }: Configuration, { rulesetId }: Endpoint): readonly Rule[] | undefined {
  return rulesets.find((ruleset) => ruleset.id === rulesetId)?.rules;
}

function denial(direction: Direction): DropReason {
  return direction === "egress" ? "RULE_EGRESS" : "RULE_INGRESS";
}
