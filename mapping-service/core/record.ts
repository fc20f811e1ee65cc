import type { Target } from "#gen/plenum/mapping/v1/mapping.ts";
import { PREFIX_OCTETS } from "#lib/mapping/prefix.ts";

/**
 * One target of one prefix, in 80 octets outside the JavaScript heap: as objects and strings the same facts take six times that, and
 * a network may have a million (DESIGN 6: at most 150 octets each). Record numbers are stored plus one, so that zero is none.
 */
export const RECORD_OCTETS = 80;

/** Offsets in a record. The prefix, in the form of `lib/mapping/prefix.ts`, is first. */
export const AT = {
  kind: PREFIX_OCTETS,
  mac: 20,
  weight: 26,
  wireId: 28,
  host: 32,
  groupSetId: 36,
  nextTarget: 40,
  nextInBucket: 44,
  interfaceId: 48,
  attachmentId: 64,
} as const;

/** Free; the first target of a prefix, found by its hash; a further target of the same prefix. */
export const KIND = { free: 0, head: 1, tail: 2 } as const;

const UUID_OCTETS = 16;
const INTERFACE = "eni-";
const ATTACHMENT = "eni-attach-";
const MAC = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/;
const HEX = /^[0-9a-f]{32}$/;

function writeId(into: Buffer, at: number, prefix: string, id: string): void {
  const digits = id.startsWith(prefix) ? id.slice(prefix.length) : "";
  if (!HEX.test(digits)) throw new RangeError(`${JSON.stringify(id.slice(0, 80))} is not an id ${prefix}…`);
  into.write(digits, at, UUID_OCTETS, "hex");
}

function writeMac(into: Buffer, at: number, mac: string): void {
  if (!MAC.test(mac)) throw new RangeError(`${JSON.stringify(mac.slice(0, 80))} is not a MAC address`);
  for (let octet = 0; octet < 6; octet += 1) into[at + octet] = parseInt(mac.slice(octet * 3, octet * 3 + 2), 16);
}

function readMac(from: Buffer, at: number): string {
  return from.toString("hex", at, at + 6).replace(/..(?=.)/g, "$&:");
}

/** Write all but prefix, kind and links. Throws RangeError, or nothing is left to be wrong; half-written octets may remain. */
export function writeTarget(into: Buffer, at: number, target: Target, host: number): void {
  writeId(into, at + AT.interfaceId, INTERFACE, target.interfaceId);
  writeId(into, at + AT.attachmentId, ATTACHMENT, target.attachmentId);
  writeMac(into, at + AT.mac, target.macAddress);
  into.writeUInt16BE(target.weight, at + AT.weight);
  into.writeUInt32BE(target.wireId, at + AT.wireId);
  into.writeUInt32BE(host, at + AT.host);
  into.writeUInt32BE(target.groupSetId, at + AT.groupSetId);
}

export function readTarget(from: Buffer, at: number, host: { hostId: string; hostAddress: string }): Target {
  return {
    interfaceId: INTERFACE + from.toString("hex", at + AT.interfaceId, at + AT.interfaceId + UUID_OCTETS),
    attachmentId: ATTACHMENT + from.toString("hex", at + AT.attachmentId, at + AT.attachmentId + UUID_OCTETS),
    wireId: from.readUInt32BE(at + AT.wireId),
    hostId: host.hostId,
    hostAddress: host.hostAddress,
    groupSetId: from.readUInt32BE(at + AT.groupSetId),
    macAddress: readMac(from, at + AT.mac),
    weight: from.readUInt16BE(at + AT.weight),
  };
}
