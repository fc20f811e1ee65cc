import type { Configuration } from "./configuration.ts";
import { decideFromInstance, type FromInstance } from "./from-instance.ts";
import { decideFromTunnel, type FromTunnel } from "./from-tunnel.ts";
import type { Outcome } from "./handover.ts";
import type { State } from "./state.ts";

/** A packet at one of the two places where a host judges. */
export type Packet = ({ readonly from: "instance" } & FromInstance) | ({ readonly from: "tunnel" } & FromTunnel);

/**
 * A packet's fate (D23): what becomes of it, and what is remembered of it. Pure; `now` in milliseconds, of any epoch. The program in
 * `host-agent/bpf` must agree; `host-agent/oracle` compares.
 */
export function decide(configuration: Configuration, state: State, now: number, packet: Packet): Outcome {
  return packet.from === "instance"
    ? decideFromInstance(configuration, state, now, packet)
    : decideFromTunnel(configuration, state, now, packet);
}
