import { AT, KIND, RECORD_OCTETS } from "./record.ts";

const BLOCK_SHIFT = 10;
const BLOCK_RECORDS = 1 << BLOCK_SHIFT;
const BLOCK_MASK = BLOCK_RECORDS - 1;
const FIRST_RECORDS = 16;

/**
 * Numbered records in blocks. A small network has one small block; a large one grows by blocks, never by copying all it has.
 * Freed records are used again; blocks are not given back.
 */
export class RecordArena {
  readonly #blocks: Buffer[] = [Buffer.alloc(FIRST_RECORDS * RECORD_OCTETS)];
  #used = 0;
  #free = 0;

  /** Octets held, used or not. */
  get octets(): number {
    return this.#blocks.reduce((sum, block) => sum + block.length, 0);
  }

  /** Records ever used: every record number is below it. */
  get end(): number {
    return this.#used;
  }

  /** The block of a record; its record is at `offset(record)`. Valid until the next `allocate`. */
  block(record: number): Buffer {
    const block = this.#blocks[record >>> BLOCK_SHIFT];
    if (block === undefined) throw new RangeError(`there is no record ${record}`);
    return block;
  }

  offset(record: number): number {
    return (record & BLOCK_MASK) * RECORD_OCTETS;
  }

  /** A record with undefined content, except that its kind is not "free". */
  allocate(): number {
    const record = this.#free === 0 ? this.#extend() : this.#free - 1;
    const block = this.block(record);
    const at = this.offset(record);
    if (this.#free !== 0) this.#free = block.readUInt32BE(at + AT.nextTarget);
    block[at + AT.kind] = KIND.tail;
    return record;
  }

  free(record: number): void {
    const block = this.block(record);
    const at = this.offset(record);
    block[at + AT.kind] = KIND.free;
    block.writeUInt32BE(this.#free, at + AT.nextTarget);
    this.#free = record + 1;
  }

  #extend(): number {
    const record = this.#used;
    const index = record >>> BLOCK_SHIFT;
    const block = this.#blocks[index];
    if (block === undefined) {
      this.#blocks.push(Buffer.alloc(BLOCK_RECORDS * RECORD_OCTETS));
    } else if (this.offset(record) >= block.length) {
      const larger = Buffer.alloc(Math.min(block.length * 2, BLOCK_RECORDS * RECORD_OCTETS));
      block.copy(larger);
      this.#blocks[index] = larger;
    }
    this.#used += 1;
    return record;
  }
}
