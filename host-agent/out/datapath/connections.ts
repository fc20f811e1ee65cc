import type { IpText } from "../../core/ports.ts";
import { addressKey } from "./address.ts";
import { inRange } from "./codec.ts";
import { encode } from "./record.ts";

/** What an interface's connections may cost (D6). Times in milliseconds, 1..2^32-1. */
export interface ConnectionLimits {
  /** For interfaces whose meter is put from now on. 0..2^32-1. */
  perInterface: number;
  /** Of those: what is the interface's own, whatever others hold. For interfaces whose meter is put from now on. 0..2^32-1. */
  share: number;
  /** What all interfaces of the host may hold beyond their shares, together. 0..2^32-1. */
  common: number;
  idleTcpAnswered: number;
  /** TCP that is unanswered, or whose FIN or RST was seen. */
  idleTcpOther: number;
  /** UDP and all that is neither TCP nor ICMP. */
  idleAnswered: number;
  idleUnanswered: number;
  idleEcho: number;
}

/** docs/design/connections.md */
export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  perInterface: 65_536,
  share: 1_024,
  common: 524_288,
  idleTcpAnswered: 7_200_000,
  idleTcpOther: 60_000,
  idleAnswered: 180_000,
  idleUnanswered: 30_000,
  idleEcho: 30_000,
};

/** What the programs know of their host. @throws RangeError */
export function encodeHostConfig(host: { hostAddress: IpText; tunnelIfindex: number }, limits: ConnectionLimits): Buffer {
  const ms = (time: number): number => inRange("an idle time", time, 1, 0xffffffff);
  const idle = encode("idle_ms", {
    tcp_answered: ms(limits.idleTcpAnswered),
    tcp_other: ms(limits.idleTcpOther),
    answered: ms(limits.idleAnswered),
    unanswered: ms(limits.idleUnanswered),
    echo: ms(limits.idleEcho),
  });
  return encode("host_config", { address: addressKey(host.hostAddress), tunnel_ifindex: host.tunnelIfindex, idle, common: limits.common });
}
