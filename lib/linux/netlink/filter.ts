import { hasCode } from "../errno.ts";
import { Attributes } from "./codec.ts";
import type { NetlinkSocket } from "./socket.ts";

const RTM_GETTFILTER = 46;
const TCA_OPTIONS = 2;
const TCA_BPF_ID = 11;
/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS) */
const CLSACT_INGRESS = 0xfffffff2;
/** ETH_P_ALL in network order. */
const ANY_PROTOCOL = 0x0300;

/**
 * Id of the BPF program that a device's clsact qdisc runs on what arrives there, at one place; undefined: none at that place, no such
 * qdisc, or no such device.
 */
export function getIngressProgram(nl: NetlinkSocket, ifindex: number, place: { handle: number; priority: number }): number | undefined {
  const body = Buffer.alloc(20); // struct tcmsg
  body.writeInt32LE(ifindex, 4);
  body.writeUInt32LE(place.handle, 8);
  body.writeUInt32LE(CLSACT_INGRESS, 12);
  body.writeUInt32LE(((place.priority << 16) | ANY_PROTOCOL) >>> 0, 16);
  try {
    const answer = nl.get(RTM_GETTFILTER, body, `look up the filter of device ${ifindex}`);
    return new Attributes(answer.body.subarray(20)).nested(TCA_OPTIONS)?.u32(TCA_BPF_ID);
  } catch (error) {
    if (hasCode(error, "ENOENT", "EINVAL", "ENODEV")) return undefined;
    throw error;
  }
}
