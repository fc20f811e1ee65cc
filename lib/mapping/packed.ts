import type { PackedMappings } from "#gen/plenum/mapping/v1/mapping.ts";
import { checkPrefix, decodePrefix, PREFIX_OCTETS } from "./prefix.ts";

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

/** A message's records by index, without an object each: for who reads a million. */
export class PackedRecords {
  readonly count: number;
  /** Substrate addresses, which records name by index. */
  readonly hosts: readonly string[];
  /** The binary prefix of a record (see `prefix.ts`) is in these octets, at `prefixAt`. */
  readonly octets: Buffer;
  readonly #groupSets: Buffer;

  /** Throws RangeError when the bytes are not what the contract says. */
  constructor(packed: PackedMappings) {
    this.hosts = packed.hosts;
    this.octets = bufferOf(packed.records);
    this.#groupSets = bufferOf(packed.groupSets);
    this.count = this.octets.length / RECORD_OCTETS;
    if (!Number.isInteger(this.count) || this.#groupSets.length !== this.count * GROUP_SET_OCTETS) {
      throw new RangeError(`${this.octets.length} octets of records and ${this.#groupSets.length} of group sets do not belong together`);
    }
    for (let index = 0; index < this.count; index += 1) {
      checkPrefix(this.octets, this.prefixAt(index));
      const host = this.hostOf(index);
      if (host >= this.hosts.length) throw new RangeError(`record ${index} names host ${host} of ${this.hosts.length}`);
    }
  }

  prefixAt(index: number): number {
    return index * RECORD_OCTETS;
  }

  /** Index into `hosts`. */
  hostOf(index: number): number {
    return this.octets.readUInt16BE(index * RECORD_OCTETS + HOST);
  }

  wireIdOf(index: number): number {
    return this.octets.readUInt32BE(index * RECORD_OCTETS + WIRE_ID);
  }

  groupSetIdOf(index: number): number {
    return this.#groupSets.readUInt32BE(index * GROUP_SET_OCTETS);
  }
}

/** The records in their order, in text form: for few. */
export function* unpackMappings(records: PackedRecords): Generator<PackedMapping, void, undefined> {
  for (let index = 0; index < records.count; index += 1) {
    yield {
      prefix: decodePrefix(records.octets, records.prefixAt(index)),
      hostAddress: records.hosts[records.hostOf(index)] ?? "", // uncovered: the records were checked; only the type cannot say so
      wireId: records.wireIdOf(index),
      groupSetId: records.groupSetIdOf(index),
    };
  }
}
