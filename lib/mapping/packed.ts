import type { PackedMappings } from "#gen/plenum/mapping/v1/mapping.ts";
import { decodePrefix, PREFIX_OCTETS } from "./prefix.ts";

/** Octets of one record (see `PackedMappings` in the contract). */
export const RECORD_OCTETS = 26;
const GROUP_SET_OCTETS = 4;
const WIRE_ID = PREFIX_OCTETS;
const HOST = WIRE_ID + 4;
/** What two octets can number; a packet full of hosts is closed and another begun. */
const MAX_HOSTS = 0x1_0000;

/** One target of one prefix: what a host needs to send to it. */
export interface PackedMapping {
  /** "10.0.1.5/32". */
  readonly prefix: string;
  /** Substrate address. */
  readonly hostAddress: string;
  /** D2. */
  readonly wireId: number;
  readonly groupSetId: number;
}

/** Fills one message. Records of one prefix must be added one after another. */
export class MappingPacker {
  readonly #records: Buffer;
  readonly #groupSets: Buffer;
  readonly #capacity: number;
  readonly #hosts = new Map<string, number>();
  #count = 0;

  /** `capacity`: records at most. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#records = Buffer.alloc(capacity * RECORD_OCTETS);
    this.#groupSets = Buffer.alloc(capacity * GROUP_SET_OCTETS);
  }

  get count(): number {
    return this.#count;
  }

  /** Whether `records` more surely fit. */
  fits(records: number): boolean {
    return this.#count + records <= this.#capacity && this.#hosts.size + records <= MAX_HOSTS;
  }

  /** `source` has the binary prefix at `offset`. Throws RangeError when full. */
  add(source: Uint8Array, offset: number, wireId: number, hostAddress: string, groupSetId: number): void {
    if (!this.fits(1)) throw new RangeError("the message is full");
    const at = this.#count * RECORD_OCTETS;
    for (let octet = 0; octet < PREFIX_OCTETS; octet += 1) this.#records[at + octet] = source[offset + octet] ?? 0;
    this.#records.writeUInt32BE(wireId, at + WIRE_ID);
    this.#records.writeUInt16BE(this.#indexOf(hostAddress), at + HOST);
    this.#groupSets.writeUInt32BE(groupSetId, this.#count * GROUP_SET_OCTETS);
    this.#count += 1;
  }

  /** The message; it shares memory with the packer, which is not to be used after. */
  finish(): PackedMappings {
    return {
      hosts: [...this.#hosts.keys()],
      records: this.#records.subarray(0, this.#count * RECORD_OCTETS),
      groupSets: this.#groupSets.subarray(0, this.#count * GROUP_SET_OCTETS),
    };
  }

  #indexOf(hostAddress: string): number {
    const known = this.#hosts.get(hostAddress);
    if (known !== undefined) return known;
    const index = this.#hosts.size;
    this.#hosts.set(hostAddress, index);
    return index;
  }
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The records of a message, in their order. Throws RangeError when the bytes are not what the contract says. */
export function* unpackMappings(packed: PackedMappings): Generator<PackedMapping, void, undefined> {
  const records = bufferOf(packed.records);
  const groupSets = bufferOf(packed.groupSets);
  const count = records.length / RECORD_OCTETS;
  if (!Number.isInteger(count) || groupSets.length !== count * GROUP_SET_OCTETS) {
    throw new RangeError(`${records.length} octets of records and ${groupSets.length} of group sets do not belong together`);
  }
  for (let index = 0; index < count; index += 1) {
    const at = index * RECORD_OCTETS;
    const host = records.readUInt16BE(at + HOST);
    const hostAddress = packed.hosts[host];
    if (hostAddress === undefined) throw new RangeError(`record ${index} names host ${host} of ${packed.hosts.length}`);
    yield {
      prefix: decodePrefix(records, at),
      hostAddress,
      wireId: records.readUInt32BE(at + WIRE_ID),
      groupSetId: groupSets.readUInt32BE(index * GROUP_SET_OCTETS),
    };
  }
}
