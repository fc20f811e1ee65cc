import type { Direction } from "./configuration.ts";
import type { Ipv4 } from "./ipv4.ts";
import { PROTOCOL, type Transport } from "./transport.ts";

/** Who talks with whom, in one interface's eyes, in the orientation of the packet that began it. */
export interface ConnectionKey {
  readonly wireId: number;
  /** The way of the packet that began it. Without it a router would take one flow for its own answer. */
  readonly direction: Direction;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export interface Connection {
  readonly key: ConnectionKey;
  /** What its being allowed rests on: judged again when either has changed. */
  readonly rulesetId: number;
  readonly groupSetId: number;
  /** Milliseconds; a packet of not long ago that was handed over. */
  readonly lastSeen: number;
  readonly answered: boolean;
  /** A FIN or RST was seen. */
  readonly closing: boolean;
}

/** Where a packet's connection may be found: as one of its initiator's packets, and as an answer. */
export interface Candidates {
  readonly asSent: ConnectionKey | undefined;
  readonly asAnswer: ConnectionKey | undefined;
}

type Ports = readonly [source: number, destination: number];

/** Of a packet that passes interface `wireId` in a direction. None for what neither begins nor belongs to a connection. */
export function candidates(wireId: number, direction: Direction, ip: Ipv4, transport: Transport): Candidates {
  const { protocol, source, destination } = ip;
  const asSent = ([sourcePort, destinationPort]: Ports): ConnectionKey => ({
    ...{ wireId, direction, protocol, source, destination, sourcePort, destinationPort },
  });
  const asAnswer = ([sourcePort, destinationPort]: Ports): ConnectionKey => ({
    ...{ wireId, direction: opposite(direction), protocol, source: destination, destination: source, sourcePort, destinationPort },
  });
  switch (transport.kind) {
    case "ports": // a first SYN answers nothing: who was talked to once could come back through the connection
      return {
        asSent: asSent([transport.source, transport.destination]),
        asAnswer: transport.tcp.opening ? undefined : asAnswer([transport.destination, transport.source]),
      };
    case "portless":
      return { asSent: asSent([0, 0]), asAnswer: asAnswer([0, 0]) };
    case "echo": // only a request begins one, only a reply answers one
      return transport.reply
        ? { asSent: undefined, asAnswer: asAnswer([transport.identifier, 0]) }
        : { asSent: asSent([transport.identifier, 0]), asAnswer: undefined };
    case "icmp":
    case "icmp-error":
    case "hidden":
      return { asSent: undefined, asAnswer: undefined };
  }
}

export function opposite(direction: Direction): Direction {
  return direction === "ingress" ? "egress" : "ingress";
}

/** One text for one key. */
export function keyText(key: ConnectionKey): string {
  const { wireId, direction, protocol, source, destination, sourcePort, destinationPort } = key;
  return `${wireId} ${direction} ${protocol} ${source}:${sourcePort} > ${destination}:${destinationPort}`;
}

const SECOND = 1000;

/** Milliseconds that a connection may be idle. */
export function idleLimit({ key, answered, closing }: Connection): number {
  if (key.protocol === PROTOCOL.tcp) return answered && !closing ? 7200 * SECOND : 60 * SECOND;
  if (isEcho(key)) return 30 * SECOND;
  return answered ? 180 * SECOND : 30 * SECOND;
}

/**
 * The connection after one more of its packets; undefined: nothing is to be written. Its time alone is written only when a sixteenth of
 * the limit has passed: a fast flow does not write at each packet.
 */
export function afterPacket(before: Connection, changed: Connection, now: number): Connection | undefined {
  const isSame =
    before.answered === changed.answered &&
    before.closing === changed.closing &&
    before.rulesetId === changed.rulesetId &&
    before.groupSetId === changed.groupSetId;
  return isSame && now - before.lastSeen <= idleLimit(before) / 16 ? undefined : { ...changed, lastSeen: now };
}

export function isIdle(connection: Connection, now: number): boolean {
  return now - connection.lastSeen >= idleLimit(connection);
}

/** No other ICMP has connections. */
export function isEcho({ protocol }: ConnectionKey): boolean {
  return protocol === PROTOCOL.icmp;
}
