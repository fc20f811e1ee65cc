import type { Decision, State } from "#lib/model/index.ts";
import { connectionText, type Answer } from "./answer.ts";

/** A decision of the model in the form in which the program's is read. */
export function expectedAnswer(decision: Decision): Answer {
  switch (decision.verdict) {
    case "drop":
      return { verdict: "drop", reason: decision.reason, countedFor: decision.countedFor };
    case "too-big":
      return { verdict: "too-big", reason: decision.reason, countedFor: decision.countedFor, ifindex: decision.ifindex, mtu: decision.mtu };
    case "arp-reply":
      return { verdict: "arp-reply", wireId: decision.wireId, ifindex: decision.ifindex, ...decision.ethernet };
    case "tunnel":
    case "deliver": {
      const meter = (direction: string): bigint => decision.meters.find((m) => m.direction === direction)?.meterId ?? 0n;
      const [{ bytes, rawBytes }] = decision.meters as [(typeof decision.meters)[number]];
      return {
        ...{
          verdict: decision.verdict,
          vni: decision.vni,
          ifindex: decision.ifindex,
          target: decision.targetWireId,
          groups: decision.groupSetId,
        },
        ...decision.ethernet,
        ...{ egressMeter: meter("egress"), ingressMeter: meter("ingress"), bytes, rawBytes },
        ...(decision.verdict === "tunnel" ? { remote: decision.remote } : { device: decision.device }),
      };
    }
  }
}

export function expectedConnections(state: State): string[] {
  return [...state.connections.values()].map(connectionText).sort();
}
