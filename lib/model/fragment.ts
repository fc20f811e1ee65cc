import type { Ipv4 } from "./ipv4.ts";
import { withFragment, type State } from "./state.ts";
import type { Transport } from "./transport.ts";

/** What a first fragment showed, for those that come after it (D13). */
export interface FirstFragment {
  readonly transport: Transport;
  /** Milliseconds. */
  readonly seen: number;
}

const LIFETIME = 2000;

function fragmentKey(vni: number, { source, destination, protocol, identification }: Ipv4): string {
  return `${vni} ${protocol} ${source} > ${destination} #${identification}`;
}

/** What a packet's own header shows, or its first fragment's, if that came lately. */
export function recallTransport(state: State, vni: number, ip: Ipv4, own: Transport, now: number): Transport {
  if (own.kind !== "hidden") return own;
  const first = state.fragments.get(fragmentKey(vni, ip));
  return first === undefined || now - first.seen > LIFETIME ? own : first.transport;
}

/** The state after a packet was handed over. */
export function rememberFragment(state: State, vni: number, ip: Ipv4, own: Transport, now: number): State {
  const isFirst = ip.moreFragments && ip.fragmentOffset === 0;
  if (!isFirst || own.kind === "portless" || own.kind === "icmp-error") return state;
  return withFragment(state, fragmentKey(vni, ip), { transport: shown(own), seen: now });
}

/** What only begins, does so in all its fragments; but its end shows in the first alone. */
function shown(transport: Transport): Transport {
  return transport.kind === "ports" ? { ...transport, tcp: { ...transport.tcp, closing: false } } : transport;
}
