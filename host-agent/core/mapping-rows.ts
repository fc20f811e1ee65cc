import type { PackedMapping, PackedRecords } from "#lib/mapping/packed.ts";
import { ADDRESS_WORDS, wordsOfPrefix, wordsOfText } from "./address-words.ts";
import type { HostNumbers } from "./host-numbers.ts";
import { ROW, type MappingBatch } from "./ports.ts";
import { RowMarks } from "./row-marks.ts";

/** Of a row: what a batch has of it, and the number (plus one) of the next row of its bucket, or of the next free one. */
const WORDS = ROW.words + 1;
const NEXT = ROW.words;
const FIRST_ROWS = 16;
const NONE = -1;

/** Wanted. */
const WANTED = 1;
/** The kernel holds something at this address, or may. */
const HELD = 2;
/** What it holds is surely what the row says. */
const CURRENT = 4;
/** Named by the news that is being taken in. */
const NAMED = 8;

/**
 * The mappings of one network, wanted beside held, and the difference kept up to date with every change: what a `DeltaTracker` is, for a
 * million. A row is 32 octets outside the JavaScript heap, found by a chained hash table.
 */
export class MappingRows {
  readonly #seed: number;
  readonly #hosts: HostNumbers;
  readonly #puts = new RowMarks();
  readonly #deletes = new RowMarks();
  readonly #scratch = new Uint32Array(ROW.words);
  #rows = new Uint32Array(FIRST_ROWS * WORDS);
  #flags = new Uint8Array(FIRST_ROWS);
  /** As many as there is room for rows. */
  #buckets = new Uint32Array(FIRST_ROWS);
  #used = 0;
  #free = 0;
  #held = 0;

  /** `seed`: any 32 bits, different in each process: tenants choose addresses, and must not be able to choose collisions. */
  constructor(seed: number, hosts: HostNumbers) {
    this.#seed = seed | 0;
    this.#hosts = hosts;
  }

  /** How many the kernel holds, or may hold. */
  get held(): number {
    return this.#held;
  }

  /** How many differ. */
  get pending(): number {
    return this.#puts.size + this.#deletes.size;
  }

  /** The kernel holds these: found at start. */
  adopt({ count, rows, hosts }: MappingBatch): void {
    if (this.#flags.length < this.#held + count) this.#grow(this.#held + count);
    const numbers = new Map<number, number>();
    for (let index = 0; index < count; index += 1) {
      const at = index * ROW.words;
      this.#scratch.set(rows.subarray(at, at + ROW.words));
      const host = this.#scratch[ROW.host]!;
      let number = numbers.get(host);
      if (number === undefined) {
        number = this.#hosts.numberOfWords(hosts.subarray(host * ADDRESS_WORDS, (host + 1) * ADDRESS_WORDS));
        numbers.set(host, number);
      }
      this.#scratch[ROW.host] = number;
      const row = this.#place();
      this.#write(row);
      this.#hold(row, HELD | CURRENT);
      this.#judge(row);
    }
  }

  /** What is named from here to `endWhole` is all that is wanted. `records`: about as many. */
  beginWhole(records: number): void {
    if (this.#flags.length < records) this.#grow(records);
    for (let row = 0; row < this.#used; row += 1) this.#flags[row]! &= ~NAMED;
  }

  endWhole(): void {
    for (let row = 0; row < this.#used; row += 1) if ((this.#flags[row]! & (WANTED | NAMED)) === WANTED) this.#unwant(row);
  }

  /** Throws RangeError at what no kernel can hold; what came before it is wanted then. May be repeated. */
  want(records: PackedRecords): void {
    const numbers = records.hosts.map((host) => this.#hosts.numberOf(host));
    const row = this.#scratch;
    for (let index = 0; index < records.count; index += 1) {
      wordsOfPrefix(records.octets, records.prefixAt(index), row);
      row[ROW.host] = numbers[records.hostOf(index)]!;
      row[ROW.wireId] = records.wireIdOf(index);
      row[ROW.groupSetId] = records.groupSetIdOf(index);
      this.#want();
    }
  }

  /** `mappings` is all that is wanted of these prefixes. Throws RangeError as `want` does. */
  change(prefixes: readonly string[], mappings: readonly PackedMapping[]): void {
    for (const prefix of prefixes) {
      wordsOfText(prefix, this.#scratch);
      const row = this.#find();
      if (row !== NONE) this.#unwant(row);
    }
    for (const { prefix, hostAddress, wireId, groupSetId } of mappings) {
      const host = this.#hosts.numberOf(hostAddress);
      wordsOfText(prefix, this.#scratch);
      this.#scratch[ROW.host] = host;
      this.#scratch[ROW.wireId] = wireId;
      this.#scratch[ROW.groupSetId] = groupSetId;
      this.#want();
    }
  }

  unwantAll(): void {
    for (let row = 0; row < this.#used; row += 1) if ((this.#flags[row]! & WANTED) !== 0) this.#unwant(row);
  }

  /** Wanted and missing or different, at most `limit`: those that take another's place, and those of which the kernel surely holds nothing. */
  pendingPuts(limit: number): { others: Uint32Array; fresh: Uint32Array } {
    const rows = this.#puts.lowest(limit);
    const isHeld = (row: number): boolean => (this.#flags[row]! & HELD) !== 0;
    return { others: rows.filter(isHeld), fresh: rows.filter((row) => !isHeld(row)) };
  }

  /** There and not wanted; at most `limit`. */
  pendingDeletes(limit: number): Uint32Array {
    return this.#deletes.lowest(limit);
  }

  /** A copy of these rows. */
  batch(vni: number, rows: Uint32Array): MappingBatch {
    const words = new Uint32Array(rows.length * ROW.words);
    rows.forEach((row, index) => {
      const [to, from] = [index * ROW.words, row * WORDS];
      for (let word = 0; word < ROW.words; word += 1) words[to + word] = this.#rows[from + word]!;
    });
    return { vni, count: rows.length, rows: words, hosts: this.#hosts.words };
  }

  /** The kernel holds just what is wanted. */
  made(rows: Uint32Array): void {
    for (const row of rows) {
      this.#hold(row, HELD | CURRENT);
      this.#judge(row);
    }
  }

  /** The kernel may hold these or not, after a write or a deletion that failed: if wanted they must be written again, and if not, deleted. */
  doubt(rows: Uint32Array): void {
    for (const row of rows) {
      this.#hold(row, HELD);
      this.#judge(row);
    }
  }

  /** The kernel does not hold them any more. */
  gone(rows: Uint32Array): void {
    for (const row of rows) {
      this.#hold(row, 0);
      this.#judge(row);
    }
  }

  /**
   * What is in `#scratch`. Several targets of an address (members of one address, D7) come with a later version; until then all hosts take
   * the same one, the lowest wire id of those that one piece of news names.
   */
  #want(): void {
    const row = this.#place();
    const at = row * WORDS;
    if ((this.#flags[row]! & NAMED) !== 0 && this.#rows[at + ROW.wireId]! < this.#scratch[ROW.wireId]!) return;
    if (!this.#isSame(at)) {
      this.#write(row);
      this.#flags[row]! &= ~CURRENT;
    }
    this.#flags[row]! |= WANTED | NAMED;
    this.#judge(row);
  }

  #unwant(row: number): void {
    this.#flags[row]! &= ~(WANTED | NAMED);
    this.#judge(row);
  }

  #hold(row: number, state: number): void {
    const before = this.#flags[row]!;
    this.#held += ((state & HELD) - (before & HELD)) / HELD;
    this.#flags[row] = (before & ~(HELD | CURRENT)) | state;
  }

  #judge(row: number): void {
    const flags = this.#flags[row]!;
    this.#puts.set(row, (flags & (WANTED | CURRENT)) === WANTED);
    this.#deletes.set(row, (flags & (WANTED | HELD)) === HELD);
    if ((flags & (WANTED | HELD)) === 0) this.#remove(row);
  }

  #isSame(at: number): boolean {
    for (let word = ROW.host; word < ROW.words; word += 1) if (this.#rows[at + word] !== this.#scratch[word]) return false;
    return true;
  }

  #write(row: number): void {
    for (let word = 0; word < ROW.words; word += 1) this.#rows[row * WORDS + word] = this.#scratch[word]!;
  }

  /** Of the address at `at`. */
  #bucketOf(words: Uint32Array, at: number): number {
    let hash = this.#seed;
    for (let word = 0; word < ADDRESS_WORDS; word += 1) {
      hash = Math.imul(hash ^ words[at + word]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (Math.imul(hash, 0x85ebca6b) >>> 7) & (this.#buckets.length - 1);
  }

  /** The row of the address in `#scratch`. */
  #find(): number {
    const rows = this.#rows;
    const asked = this.#scratch;
    let row = this.#buckets[this.#bucketOf(asked, 0)]! - 1;
    while (row !== NONE) {
      const at = row * WORDS;
      // The last word first: it is the one in which IPv4 addresses differ.
      if (rows[at + 3] === asked[3] && rows[at + 2] === asked[2] && rows[at + 1] === asked[1] && rows[at] === asked[0]) return row;
      row = rows[at + NEXT]! - 1;
    }
    return NONE;
  }

  /** The same; a new one is written, and neither wanted nor held yet. */
  #place(): number {
    const known = this.#find();
    if (known !== NONE) return known;
    if (this.#free === 0 && this.#used === this.#flags.length) this.#grow(this.#used + 1);
    const row = this.#free === 0 ? this.#used++ : this.#free - 1;
    if (this.#free !== 0) this.#free = this.#rows[row * WORDS + NEXT]!;
    this.#write(row);
    this.#chain(row);
    return row;
  }

  #chain(row: number): void {
    const bucket = this.#bucketOf(this.#rows, row * WORDS);
    this.#rows[row * WORDS + NEXT] = this.#buckets[bucket]!;
    this.#buckets[bucket] = row + 1;
  }

  #remove(row: number): void {
    const at = row * WORDS;
    const bucket = this.#bucketOf(this.#rows, at);
    const after = this.#rows[at + NEXT]!;
    let before = this.#buckets[bucket]! - 1;
    if (before === row) {
      this.#buckets[bucket] = after;
    } else {
      while (this.#rows[before * WORDS + NEXT] !== row + 1) before = this.#rows[before * WORDS + NEXT]! - 1;
      this.#rows[before * WORDS + NEXT] = after;
    }
    this.#rows[at + NEXT] = this.#free;
    this.#free = row + 1;
  }

  /** So that there is room for so many rows: twice the room, or more. */
  #grow(least: number): void {
    let room = this.#flags.length;
    while (room < least) room *= 2;
    const rows = new Uint32Array(room * WORDS);
    rows.set(this.#rows);
    this.#rows = rows;
    const flags = new Uint8Array(room);
    flags.set(this.#flags);
    this.#flags = flags;
    this.#buckets = new Uint32Array(room);
    for (let row = 0; row < this.#used; row += 1) if ((flags[row]! & (WANTED | HELD)) !== 0) this.#chain(row);
  }
}
