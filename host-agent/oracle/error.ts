import { ipv4 } from "../out/datapath/testing/frames.ts";
import type { Draft } from "./draft.ts";
import type { Random } from "./random.ts";

const TYPES = [3, 3, 3, 4, 5, 11, 12];

/** An ICMP error that quotes a packet: its IP header and eight bytes, or another length, or wrongly. */
export function icmpError(random: Random, about: Draft): { payload: Buffer; note: string } {
  // Who answers a fragment quotes a fragment; without ports, where it is not the first.
  const ip = random.chance(0.06) ? { ...about.ip, fragmentOffset: 64 } : about.ip;
  const whole = ipv4(ip, about.payload);
  const length = random.weighted([
    [6, 28],
    [2, whole.length],
    [1, random.between(0, 40)],
  ]);
  const quoted = Buffer.from(whole.subarray(0, length));
  const isWrong = quoted.length > 0 && random.chance(0.25);
  if (isWrong) spoilQuoted(random, quoted);
  const type = random.pick(TYPES);
  const head = Buffer.from([type, random.between(0, 4), 0, 0, 0, 0, 0, 0]);
  return { payload: Buffer.concat([head, quoted]), note: `ICMP error ${type}${isWrong ? ", quoted wrongly," : ""}` };
}

/** Version and header length, or any octet. */
function spoilQuoted(random: Random, quoted: Buffer): void {
  if (random.chance(0.5)) quoted.writeUInt8(random.between(0, 255), random.between(0, quoted.length - 1));
  else quoted.writeUInt8(random.chance(0.2) ? 0x65 : 0x40 | random.between(0, 15), 0);
}

/** The end of what the error quotes comes to stand behind the error's own end. */
export function padWithEnd(random: Random, error: Draft): void {
  const length = random.between(8, Math.max(8, error.payload.length));
  error.override = Buffer.concat([ipv4(error.ip, error.payload.subarray(0, length)), error.payload.subarray(length)]);
  error.note += ", cut short";
}
