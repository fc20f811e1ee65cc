import type { RuleProtocol } from "./model.ts";

/** Names of IANA protocol numbers; "any" is no protocol, and 0 in what hosts are told. */
const NUMBERS = { any: 0, icmp: 1, tcp: 6, udp: 17 } as const;

/** DCCP, SCTP, UDP-Lite: what hosts read ports of, besides TCP and UDP. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

/** 0: any. */
export const protocolNumber = (protocol: RuleProtocol): number => (typeof protocol === "number" ? protocol : NUMBERS[protocol]);

/** By its name where it has one: one protocol is kept in one way only. */
export function protocolOf(number: number): RuleProtocol {
  const names = Object.keys(NUMBERS) as (keyof typeof NUMBERS)[];
  return names.find((name) => NUMBERS[name] === number) ?? number;
}

/** The highest port (ICMP: type) that a rule of this protocol can name; 0: it can name none. */
export function highestPort(protocol: RuleProtocol): number {
  const number = protocolNumber(protocol);
  if (number === NUMBERS.icmp) return 255;
  return WITH_PORTS.has(number) ? 65_535 : 0;
}
