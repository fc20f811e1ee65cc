const BITS = 32;

/** A set of small numbers, a bit each. */
export class RowMarks {
  #words = new Uint32Array(1);
  /** No word before this one has a bit. */
  #first = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  set(row: number, member: boolean): void {
    const at = row >>> 5;
    const bit = 1 << (row & 31);
    const word = this.#words[at] ?? 0;
    if (((word & bit) !== 0) === member) return;
    if (at >= this.#words.length) this.#grow(at + 1);
    this.#words[at] = word ^ bit;
    this.#size += member ? 1 : -1;
    if (member && at < this.#first) this.#first = at;
  }

  /** The lowest ones, at most `limit`. */
  lowest(limit: number): Uint32Array {
    const rows = new Uint32Array(Math.min(limit, this.#size));
    let count = 0;
    while (this.#first < this.#words.length && this.#words[this.#first] === 0) this.#first += 1;
    for (let at = this.#first; count < rows.length; at += 1) {
      for (let word = this.#words[at]!; word !== 0 && count < rows.length; word &= word - 1) {
        rows[count++] = at * BITS + 31 - Math.clz32(word & -word);
      }
    }
    return rows;
  }

  #grow(words: number): void {
    const larger = new Uint32Array(Math.max(words, this.#words.length * 2));
    larger.set(this.#words);
    this.#words = larger;
  }
}
