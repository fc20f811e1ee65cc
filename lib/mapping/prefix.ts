import { isIPv6 } from "node:net";

/**
 * Binary form of a prefix, as in packed records and in the index: family (4 or 6), length, then the address in 16 octets (IPv4 in the
 * first four, rest zero).
 */
export const PREFIX_OCTETS = 18;

const ADDRESS = 2;
const SLASH = 47;
const DOT = 46;
const ZERO = 48;

const malformed = (text: string): RangeError => new RangeError(`${JSON.stringify(text.slice(0, 80))} is not a prefix`);

/** Decimal number without leading zeros, at most three digits, from `start` to `end`; -1 if it is none. */
function decimal(text: string, start: number, end: number): number {
  if (end <= start || end - start > 3 || (end - start > 1 && text.charCodeAt(start) === ZERO)) return -1;
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Dotted quad in `text` up to `end` into four octets; false if it is none. By hand: a million of these is a load. */
function writeIPv4(text: string, end: number, into: Uint8Array, offset: number): boolean {
  let start = 0;
  for (let octet = 0; octet < 4; octet += 1) {
    let stop = start;
    while (stop < end && text.charCodeAt(stop) !== DOT) stop += 1;
    const value = decimal(text, start, stop);
    if (value < 0 || value > 255 || (octet === 3) !== (stop === end)) return false;
    into[offset + octet] = value;
    start = stop + 1;
  }
  return true;
}

/** Eight groups of an IPv6 address that `isIPv6` has accepted and that has no zone. */
function groupsOf(address: string): number[] {
  const quad = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const pair = (high = "0", low = "0"): string => ((Number(high) << 8) | Number(low)).toString(16);
  const text = quad === null ? address : `${quad[1] ?? ""}${pair(quad[2], quad[3])}:${pair(quad[4], quad[5])}`;
  const [head = "", tail] = text.split("::");
  const parse = (part: string): number[] => (part === "" ? [] : part.split(":").map((group) => parseInt(group, 16)));
  if (tail === undefined) return parse(head);
  const before = parse(head);
  const after = parse(tail);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function writeIPv6(text: string, into: Uint8Array, offset: number): boolean {
  if (!isIPv6(text) || text.includes("%")) return false;
  groupsOf(text).forEach((group, index) => {
    into[offset + index * 2] = group >>> 8;
    into[offset + index * 2 + 1] = group & 0xff;
  });
  return true;
}

/** Whether bits after `length` are zero in the `octets` octets from `offset`. */
function hostBitsClear(bytes: Uint8Array, offset: number, octets: number, length: number): boolean {
  for (let octet = length >>> 3; octet < octets; octet += 1) {
    const kept = Math.max(0, length - octet * 8);
    if (((bytes[offset + octet] ?? 0) & (0xff >>> kept)) !== 0) return false;
  }
  return true;
}

/**
 * Write the binary form of "10.0.1.5/32" or "fd00::/64" to `into` at `offset`; without a length it is the whole address. Throws
 * RangeError on anything else, host bits that are set included; `into` is then undefined at these octets.
 */
export function encodePrefix(text: string, into: Uint8Array, offset = 0): void {
  const slash = text.lastIndexOf("/");
  const end = slash < 0 ? text.length : slash;
  into.fill(0, offset, offset + PREFIX_OCTETS);
  const four = writeIPv4(text, end, into, offset + ADDRESS);
  if (!four) into.fill(0, offset + ADDRESS, offset + PREFIX_OCTETS);
  if (!four && !writeIPv6(text.slice(0, end), into, offset + ADDRESS)) throw malformed(text);
  const widest = four ? 32 : 128;
  const length = slash < 0 ? widest : decimal(text, slash + 1, text.length);
  if (length < 0 || length > widest || !hostBitsClear(into, offset + ADDRESS, widest / 8, length)) throw malformed(text);
  into[offset] = four ? 4 : 6;
  into[offset + 1] = length;
}

/** The longest run of zero groups (two at least), as [start, length]; RFC 5952: the first of equals. */
function longestZeroRun(groups: readonly number[]): [number, number] {
  let best: [number, number] = [-1, 1];
  for (let start = 0; start < groups.length; start += 1) {
    let stop = start;
    while (groups[stop] === 0) stop += 1;
    if (stop - start > best[1]) best = [start, stop - start];
    start = Math.max(start, stop - 1);
  }
  return best;
}

function formatIPv6(bytes: Uint8Array, offset: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[offset + index * 2] ?? 0) << 8) | (bytes[offset + index * 2 + 1] ?? 0));
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  const [start, length] = longestZeroRun(groups);
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/** Text of the binary form at `offset`. Throws RangeError when it is not one. */
export function decodePrefix(bytes: Uint8Array, offset = 0): string {
  const family = bytes[offset];
  const length = bytes[offset + 1] ?? 255;
  const at = offset + ADDRESS;
  if (family === 4 && length <= 32) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}/${length}`;
  if (family === 6 && length <= 128) return `${formatIPv6(bytes, at)}/${length}`;
  throw new RangeError(`family ${family} with length ${length} is not a prefix`);
}

/** The one form in which a prefix is written ("FD00::0001" → "fd00::1/128"). Throws RangeError when the text is none. */
export function canonicalPrefix(text: string): string {
  const bytes = new Uint8Array(PREFIX_OCTETS);
  encodePrefix(text, bytes);
  return decodePrefix(bytes);
}

/** Whether the text is one address, without a length. */
export function isAddress(text: string): boolean {
  if (text.lastIndexOf(String.fromCharCode(SLASH)) >= 0) return false;
  try {
    encodePrefix(text, new Uint8Array(PREFIX_OCTETS));
    return true;
  } catch {
    return false;
  }
}
