import type { Configuration, Endpoint } from "#lib/model/index.ts";
import { icmpEcho, udp } from "../out/datapath/testing/frames.ts";
import type { Random } from "./random.ts";
import { ADDRESSES, PORTS, PROTOCOLS, VNIS } from "./world.ts";

/** Two that talk: what packets of one scenario have in common, so that connections matter. */
export interface Flow {
  readonly vni: number;
  readonly protocol: number;
  readonly ends: readonly [End, End];
}

export interface End {
  readonly address: string;
  /** For ICMP the identifier. */
  readonly port: number;
}

/** Between an interface of this host and anybody. */
export function randomFlow(random: Random, { endpoints, mappings }: Configuration): Flow {
  const here = endpoints.length > 0 ? random.pick(endpoints) : undefined;
  const vni = here?.vni ?? random.pick(VNIS);
  const known = mappings.filter((m) => m.vni === vni).map((m) => m.address);
  const near = random.pick(here?.addresses ?? ADDRESSES);
  const far = random.pick(random.chance(0.9) && known.length > 0 ? known : [...ADDRESSES, "10.0.0.200"]);
  const protocol = random.weighted([
    [4, PROTOCOLS.tcp],
    [4, PROTOCOLS.udp],
    [2, PROTOCOLS.icmp],
    [1.5, PROTOCOLS.gre],
    [0.7, PROTOCOLS.sctp],
    [0.7, PROTOCOLS.dccp],
    [0.7, PROTOCOLS.udpLite],
  ]);
  const service = { port: random.pick(PORTS) };
  const client = { port: random.pick([service.port, 40000, 40001, 40002, ...(protocol === PROTOCOLS.icmp ? [0, 0, 0] : [40003])]) };
  const isClientNear = random.chance(0.6);
  const [a, b] = isClientNear ? [near, far] : [far, near];
  return {
    vni,
    protocol,
    ends: [
      { address: a, ...client },
      { address: b, ...service },
    ],
  };
}

export function localEndpoint({ endpoints }: Configuration, vni: number, address: string): Endpoint | undefined {
  return endpoints.find((e) => e.vni === vni && e.addresses.includes(address));
}

/** Those of a flow's ends that are on this host: the first end's, then the second's. */
export function endpointsHere(configuration: Configuration, { vni, ends }: Flow): Endpoint[] {
  return ends.flatMap(({ address }) => localEndpoint(configuration, vni, address) ?? []);
}

export const FLAG = { fin: 1, syn: 2, rst: 4, ack: 16 } as const;

/** What the first end sends, or the second in answer; the header after the IP header, and some payload. */
export function payloadOf(random: Random, { protocol, ends: [a, b] }: Flow, isAnswer: boolean): Buffer {
  const [source, destination] = isAnswer ? [b.port, a.port] : [a.port, b.port];
  const data = random.bytes(random.between(0, 40));
  switch (protocol) {
    case PROTOCOLS.tcp: {
      const opening = isAnswer ? FLAG.syn | FLAG.ack : FLAG.syn;
      const flags = random.weighted([
        [3, opening],
        [5, FLAG.ack],
        [1, FLAG.fin | FLAG.ack],
        [1, FLAG.rst],
        [0.3, FLAG.syn],
        [0.3, random.between(0, 255)],
      ]);
      return tcp(
        {
          source,
          destination,
          flags,
          options:
            4 *
            random.weighted([
              [5, 0],
              [1, 1],
              [1, 3],
            ]),
        },
        data,
      );
    }
    case PROTOCOLS.udp:
      return udp(source, destination, data);
    case PROTOCOLS.sctp:
    case PROTOCOLS.dccp:
    case PROTOCOLS.udpLite:
      return Buffer.concat([ports(source, destination), Buffer.alloc(8), data]);
    case PROTOCOLS.icmp:
      return icmp(random, a.port, isAnswer, data);
    default:
      return data;
  }
}

export function tcp(h: { source: number; destination: number; flags: number; options: number }, data: Uint8Array): Buffer {
  const rest = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, ((20 + h.options) / 4) << 4, h.flags, 0xff, 0xff, 0, 0, 0, 0]);
  return Buffer.concat([ports(h.source, h.destination), rest, Buffer.alloc(h.options, 1), data]);
}

/** Mostly echo, and some of other types, which belong to no flow. */
function icmp(random: Random, identifier: number, isAnswer: boolean, data: Buffer): Buffer {
  const message = icmpEcho(data);
  const other = random.chance(0.25) ? random.pick([0, 0, 8, 8, 9, 10, 13, 14, 200]) : undefined;
  message.writeUInt8(other ?? (isAnswer ? 0 : 8), 0);
  message.writeUInt16BE(identifier, 4);
  return message;
}

function ports(source: number, destination: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(source, 0);
  bytes.writeUInt16BE(destination, 2);
  return bytes;
}
