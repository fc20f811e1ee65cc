import { addressBytes, addressOfBytes, formatAddress, parseAddress } from "#lib/net/address.ts";

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

function writeIPv6(text: string, into: Uint8Array, offset: number): boolean {
  const address = parseAddress(text);
  if (address?.family !== 6) return false;
  into.set(addressBytes(address), offset);
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

/** Throws RangeError when the octets at `offset` are not a binary form. */
export function checkPrefix(bytes: Uint8Array, offset = 0): void {
  const family = bytes[offset];
  const length = bytes[offset + 1] ?? 255;
  if ((family === 4 && length <= 32) || (family === 6 && length <= 128)) return;
  throw new RangeError(`family ${family} with length ${length} is not a prefix`);
}

/** Text of the binary form at `offset`. Throws RangeError when it is not one. */
export function decodePrefix(bytes: Uint8Array, offset = 0): string {
  checkPrefix(bytes, offset);
  const at = offset + ADDRESS;
  const address =
    bytes[offset] === 4
      ? `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`
      : formatAddress(addressOfBytes(bytes.subarray(at, at + 16)));
  return `${address}/${bytes[offset + 1]}`;
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
