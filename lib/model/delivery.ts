import type { Configuration } from "./configuration.ts";
import { drop } from "./decision.ts";
import type { DropReason } from "./drop-reason.ts";
import { rememberFragment } from "./fragment.ts";
import { checkHandover, meterChanges, type Allowed, type Outcome } from "./handover.ts";
import type { Ipv4 } from "./ipv4.ts";
import { judge } from "./judge.ts";
import type { Size } from "./metering.ts";
import { withoutConnection, type State } from "./state.ts";
import type { Transport } from "./transport.ts";

/** A packet for an interface of this host. */
export interface Arriving {
  readonly targetWireId: number;
  readonly vni: number;
  readonly ip: Ipv4;
  /** What its own header shows, and what is known of it. */
  readonly own: Transport;
  readonly transport: Transport;
  /** The sender's groups. */
  readonly groupSetId: number;
  readonly size: Size;
  /** The sending interface, if it is on this host too. */
  readonly before: readonly Allowed[];
  /** For whom a wrong target is counted. */
  readonly blame: number;
}

/** The receiving interface: there, open, the right one, and willing. */
export function deliver(configuration: Configuration, state: State, now: number, arriving: Arriving): Outcome {
  const { vni, ip, own, transport, groupSetId, blame } = arriving;
  const refuse = (reason: DropReason, countedFor: number): Outcome => ({ decision: drop(reason, countedFor), state });
  const target = configuration.endpoints.find(({ wireId }) => wireId === arriving.targetWireId);
  if (target === undefined) return refuse("TARGET_CLOSED", blame);
  if (target.vni !== vni) return refuse("TARGET_NETWORK", blame);
  if (target.disabled) return refuse("INTERFACE_DISABLED", target.wireId);
  if (target.sourceDestCheck && !target.addresses.includes(ip.destination)) return refuse("TARGET_ADDRESS", target.wireId);

  const judgement = judge(configuration, state, now, { endpoint: target, direction: "ingress", ip, transport, groupSetId });
  if (!judgement.allowed)
    return {
      decision: drop(judgement.reason, target.wireId),
      state: judgement.deleted === undefined ? state : withoutConnection(state, judgement.deleted),
    };

  const way: Allowed[] = [
    ...arriving.before,
    { endpoint: target, direction: "ingress", connection: judgement.connection, begins: judgement.begins },
  ];
  const handed = checkHandover(configuration, state, way);
  if (handed.decision !== undefined) return handed;
  return {
    decision: {
      ...{ verdict: "deliver", ifindex: target.ifindex, device: target.device, vni, targetWireId: target.wireId, groupSetId },
      ethernet: { destination: target.guestMac, source: target.gatewayMac },
      meters: meterChanges(way, arriving.size),
    },
    state: rememberFragment(handed.state, vni, ip, own, now),
  };
}
