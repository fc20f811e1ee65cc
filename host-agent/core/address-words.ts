import { decodePrefix, encodePrefix, PREFIX_OCTETS } from "#lib/mapping/prefix.ts";
import { addressOfBytes, formatAddress } from "#lib/net/address.ts";

/** An address in words, as maps hold it: 16 octets, IPv4 as ::ffff:a.b.c.d; each word has four of them, the first in its lowest bits. */
export const ADDRESS_WORDS = 4;

/** The third word of an IPv4 address. */
const IPV4_MARK = 0xffff_0000;
const ADDRESS = 2;
const scratch = Buffer.alloc(PREFIX_OCTETS);

/** Of a binary prefix (lib/mapping/prefix.ts). Throws RangeError unless it is a whole address. */
export function wordsOfPrefix(octets: Buffer, at: number, into: Uint32Array): void {
  const family = octets[at];
  const length = octets[at + 1];
  if (family === 4 && length === 32) {
    into[0] = into[1] = 0;
    into[2] = IPV4_MARK;
    into[3] = octets.readUInt32LE(at + ADDRESS);
  } else if (family === 6 && length === 128) {
    for (let word = 0; word < ADDRESS_WORDS; word += 1) into[word] = octets.readUInt32LE(at + ADDRESS + 4 * word);
  } else {
    throw new RangeError(`only whole addresses can be mapped, not ${decodePrefix(octets, at)}`);
  }
}

/** Of "10.0.0.5", "10.0.0.5/32", "fd00::5" or "fd00::5/128". Throws RangeError for anything else. */
export function wordsOfText(text: string, into: Uint32Array): void {
  encodePrefix(text, scratch);
  wordsOfPrefix(scratch, 0, into);
}

export function isIPv4(words: Uint32Array): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === IPV4_MARK;
}

/** "10.0.0.5" or "fd00::5"; its length is that of the family. */
export function textOfWords(words: Uint32Array): { address: string; length: 32 | 128 } {
  words.forEach((word, index) => scratch.writeUInt32LE(word, 4 * index));
  const isFour = isIPv4(words);
  const octets = isFour ? scratch.subarray(12, 16) : scratch.subarray(0, 16);
  return { address: formatAddress(addressOfBytes(octets)), length: isFour ? 32 : 128 };
}
