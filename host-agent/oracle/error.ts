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
  const isWrong = random.chance(0.1);
  if (isWrong && quoted.length > 0) {
    if (random.chance(0.2)) quoted.writeUInt8(0x40 | random.between(0, 15), 0);
    else quoted.writeUInt8(random.between(0, 255), random.between(0, quoted.length - 1));
  }
  const type = random.pick(TYPES);
  const head = Buffer.from([type, random.between(0, 4), 0, 0, 0, 0, 0, 0]);
  return { payload: Buffer.concat([head, quoted]), note: `ICMP error ${type}${isWrong ? ", quoted wrongly," : ""}` };
}
