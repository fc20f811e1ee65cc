import { randomBytes } from "node:crypto";

/** A MAC that no guest is told, and that nobody guesses: locally administered, unicast, 46 random bits. */
export function nobodysMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
