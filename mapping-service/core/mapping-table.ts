import type { MappingItem, PackedMappings, Target } from "#gen/plenum/mapping/v1/mapping.ts";
import { MappingPacker } from "#lib/mapping/packed.ts";
import { decodePrefix, encodePrefix, PREFIX_OCTETS } from "#lib/mapping/prefix.ts";
import { HostTable } from "./host-table.ts";
import { RecordArena } from "./record-arena.ts";
import { AT, KIND, readTarget, writeTarget } from "./record.ts";

const FIRST_BUCKETS = 16;
const NONE = -1;

// uncovered: an attachment is a target of an address once
const compareTargets = (one: Target, other: Target): number =>
  one.attachmentId < other.attachmentId ? -1 : one.attachmentId > other.attachmentId ? 1 : 0;

/**
 * Prefix → targets of one network: a chained hash table over packed records. Targets of a prefix are kept in the order of their
 * attachment ids, so that two tables with the same content give the same answers.
 */
export class MappingTable {
  readonly #arena = new RecordArena();
  readonly #hosts = new HostTable();
  readonly #seed: number;
  #buckets = new Uint32Array(FIRST_BUCKETS);
  #prefixes = 0;
  #targets = 0;
  readonly #chunkRecords: number;
  readonly #dirty = new Set<number>();
  readonly #key = Buffer.alloc(PREFIX_OCTETS);

  /**
   * `seed`: any 32 bits, different in each process: addresses are chosen by tenants, who must not be able to choose collisions.
   * `chunkRecords`: records in a chunk of {@link packChunk}.
   */
  constructor(seed: number, chunkRecords = 8_192) {
    this.#seed = seed | 0;
    this.#chunkRecords = chunkRecords;
  }

  get prefixes(): number {
    return this.#prefixes;
  }

  get targets(): number {
    return this.#targets;
  }

  /** Octets held outside the JavaScript heap. */
  get octets(): number {
    return this.#arena.octets + this.#buckets.byteLength;
  }

  /** Targets of a prefix; none: nothing is there. Throws RangeError when the text is no prefix. */
  get(prefix: string): Target[] {
    encodePrefix(prefix, this.#key);
    const targets: Target[] = [];
    for (let record = this.#find(); record !== NONE; record = this.#next(record, AT.nextTarget)) targets.push(this.#read(record));
    return targets;
  }

  /** The item is the prefix's whole mapping from now on. Throws RangeError, changing nothing, when a field is not what it must be. */
  set(item: MappingItem): void {
    encodePrefix(item.prefix, this.#key);
    const records = [...item.targets].sort(compareTargets).map((target) => ({ target, record: this.#arena.allocate() }));
    const written: number[] = [];
    try {
      for (const { target, record } of records) {
        this.#write(record, target);
        written.push(record);
      }
    } catch (error) {
      for (const record of written) this.#hosts.release(this.#arena.block(record).readUInt32BE(this.#arena.offset(record) + AT.host));
      for (const { record } of records) this.#arena.free(record);
      throw error;
    }
    this.#remove();
    this.#link(written);
  }

  /** One more target of a prefix, beside those it has. Throws RangeError like `set`. */
  add(prefix: string, target: Target): void {
    this.set({ prefix, targets: [...this.get(prefix), target] });
  }

  /** Everything, in no order that means anything. The table must not change meanwhile. */
  *items(): Generator<MappingItem, void, undefined> {
    for (const head of this.#heads()) {
      const prefix = decodePrefix(this.#arena.block(head), this.#arena.offset(head));
      const targets: Target[] = [];
      for (let record = head; record !== NONE; record = this.#next(record, AT.nextTarget)) targets.push(this.#read(record));
      yield { prefix, targets };
    }
  }

  /** Chunks in which everything is, numbered from 0. A prefix stays in its chunk until it is set again. */
  get chunks(): number {
    return Math.ceil(this.#arena.end / this.#chunkRecords);
  }

  /** Chunks that differ from when this was last called. */
  takeDirtyChunks(): Set<number> {
    const dirty = new Set(this.#dirty);
    this.#dirty.clear();
    return dirty;
  }

  /** What is in one chunk: one message, more where prefixes have several targets, none where nothing is. */
  *packChunk(chunk: number): Generator<PackedMappings, void, undefined> {
    const start = chunk * this.#chunkRecords;
    const end = Math.min(start + this.#chunkRecords, this.#arena.end);
    let packer = new MappingPacker(end - start);
    for (const head of this.#heads(start, end)) {
      let count = 0;
      for (let record = head; record !== NONE; record = this.#next(record, AT.nextTarget)) count += 1;
      if (!packer.fits(count)) {
        if (packer.count > 0) yield packer.finish();
        packer = new MappingPacker(Math.max(end - start, count));
      }
      for (let record = head; record !== NONE; record = this.#next(record, AT.nextTarget)) this.#packOne(packer, head, record);
    }
    if (packer.count > 0) yield packer.finish();
  }

  #packOne(packer: MappingPacker, head: number, record: number): void {
    const block = this.#arena.block(record);
    const at = this.#arena.offset(record);
    const host = this.#hosts.get(block.readUInt32BE(at + AT.host));
    const groupSetId = block.readUInt32BE(at + AT.groupSetId);
    packer.add(this.#arena.block(head), this.#arena.offset(head), block.readUInt32BE(at + AT.wireId), host.hostAddress, groupSetId);
  }

  *#heads(start = 0, end = this.#arena.end): Generator<number, void, undefined> {
    for (let record = start; record < end; record += 1) {
      if (this.#arena.block(record)[this.#arena.offset(record) + AT.kind] === KIND.head) yield record;
    }
  }

  #next(record: number, link: number): number {
    return this.#arena.block(record).readUInt32BE(this.#arena.offset(record) + link) - 1;
  }

  #setNext(record: number, link: number, next: number): void {
    this.#arena.block(record).writeUInt32BE(next + 1, this.#arena.offset(record) + link);
  }

  #read(record: number): Target {
    const block = this.#arena.block(record);
    const at = this.#arena.offset(record);
    return readTarget(block, at, this.#hosts.get(block.readUInt32BE(at + AT.host)));
  }

  /** The key and the target; the links are the caller's. */
  #write(record: number, target: Target): void {
    const block = this.#arena.block(record);
    const at = this.#arena.offset(record);
    this.#key.copy(block, at);
    const host = this.#hosts.acquire(target.hostId, target.hostAddress);
    try {
      writeTarget(block, at, target, host);
    } catch (error) {
      this.#hosts.release(host);
      throw error;
    }
  }

  /** Bucket of the key at `at`: the four words of the address, family and length, mixed with the seed. */
  #bucketOf(bytes: Buffer, at: number): number {
    let hash = this.#seed ^ bytes.readUInt16BE(at);
    for (let word = at + 2; word < at + PREFIX_OCTETS; word += 4) {
      hash = Math.imul(hash ^ bytes.readInt32BE(word), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (Math.imul(hash, 0x85ebca6b) >>> 7) & (this.#buckets.length - 1);
  }

  /** The head record of `#key`. */
  #find(): number {
    let record = this.#buckets[this.#bucketOf(this.#key, 0)]! - 1;
    while (record !== NONE) {
      const at = this.#arena.offset(record);
      if (this.#key.compare(this.#arena.block(record), at, at + PREFIX_OCTETS) === 0) return record;
      record = this.#next(record, AT.nextInBucket);
    }
    return NONE;
  }

  #link(records: readonly number[]): void {
    const head = records[0];
    if (head === undefined) return;
    if (this.#prefixes >= this.#buckets.length) this.#grow();
    records.forEach((record, index) => this.#setNext(record, AT.nextTarget, records[index + 1] ?? NONE));
    this.#arena.block(head)[this.#arena.offset(head) + AT.kind] = KIND.head;
    this.#chain(head);
    this.#dirty.add(Math.floor(head / this.#chunkRecords));
    this.#prefixes += 1;
    this.#targets += records.length;
  }

  #chain(head: number): void {
    const bucket = this.#bucketOf(this.#arena.block(head), this.#arena.offset(head));
    this.#setNext(head, AT.nextInBucket, this.#buckets[bucket]! - 1);
    this.#buckets[bucket] = head + 1;
  }

  #grow(): void {
    this.#buckets = new Uint32Array(this.#buckets.length * 2);
    for (const head of this.#heads()) this.#chain(head);
  }

  /** Forget `#key`. */
  #remove(): void {
    const head = this.#find();
    if (head === NONE) return;
    this.#unchain(head);
    this.#dirty.add(Math.floor(head / this.#chunkRecords));
    for (let record = head; record !== NONE;) {
      const next = this.#next(record, AT.nextTarget);
      this.#hosts.release(this.#arena.block(record).readUInt32BE(this.#arena.offset(record) + AT.host));
      this.#arena.free(record);
      this.#targets -= 1;
      record = next;
    }
    this.#prefixes -= 1;
  }

  #unchain(head: number): void {
    const bucket = this.#bucketOf(this.#arena.block(head), this.#arena.offset(head));
    const after = this.#next(head, AT.nextInBucket);
    let record = this.#buckets[bucket]! - 1;
    if (record === head) {
      this.#buckets[bucket] = after + 1;
      return;
    }
    while (this.#next(record, AT.nextInBucket) !== head) record = this.#next(record, AT.nextInBucket);
    this.#setNext(record, AT.nextInBucket, after);
  }
}
