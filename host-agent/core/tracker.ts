/**
 * What is wanted beside what is there, by key, and the difference kept up to date with every change (the idea of Felix's delta
 * tracker). Every kind of kernel state has one, mappings one of their own (mapping-rows.ts); nothing else in the agent remembers what the
 * kernel holds.
 */
export class DeltaTracker<K, W, A = W> {
  readonly #equal: (wanted: W, actual: A) => boolean;
  readonly #wanted = new Map<K, W>();
  readonly #actual = new Map<K, A>();
  /** Keys whose last write failed, or that were found after a restart and may be half made. */
  readonly #doubtful = new Set<K>();
  readonly #puts = new Set<K>();
  readonly #deletes = new Set<K>();

  /** `equal`: whether what is there is already what is wanted, so that writing it again can be left out. */
  constructor(equal: (wanted: W, actual: A) => boolean) {
    this.#equal = equal;
  }

  want(key: K, value: W): void {
    this.#wanted.set(key, value);
    this.#judge(key);
  }

  unwant(key: K): void {
    this.#wanted.delete(key);
    this.#judge(key);
  }

  /** The kernel holds this: found at start, or just written. */
  present(key: K, actual: A): void {
    this.#actual.set(key, actual);
    this.#doubtful.delete(key);
    this.#judge(key);
  }

  /**
   * The kernel may hold this or a part of it, or not any more: if it is wanted it must be written (again), and if not, it must be
   * deleted. Said before every write and every deletion, so that one that fails half way leaves no false certainty.
   */
  doubt(key: K, actual: A): void {
    this.#actual.set(key, actual);
    this.#doubtful.add(key);
    this.#judge(key);
  }

  /** The kernel does not hold it, or not any more. */
  absent(key: K): void {
    this.#actual.delete(key);
    this.#doubtful.delete(key);
    this.#judge(key);
  }

  wanted(key: K): W | undefined {
    return this.#wanted.get(key);
  }

  /** What the kernel surely holds. */
  actual(key: K): A | undefined {
    return this.#doubtful.has(key) ? undefined : this.#actual.get(key);
  }

  /** What the kernel holds or may hold. */
  possible(key: K): A | undefined {
    return this.#actual.get(key);
  }

  /** Wanted, and the kernel holds just that. */
  settled(key: K): boolean {
    return this.#wanted.has(key) && !this.#puts.has(key);
  }

  get actualSize(): number {
    return this.#actual.size;
  }

  /** Doubtful ones included. */
  possibleEntries(): IterableIterator<[K, A]> {
    return this.#actual.entries();
  }

  /** Wanted and missing or different. A copy: the caller may change the tracker while reading it. */
  pendingPuts(): [K, W][] {
    return pick(this.#puts, this.#wanted);
  }

  /** There and not wanted. A copy. */
  pendingDeletes(): [K, A][] {
    return pick(this.#deletes, this.#actual);
  }

  #judge(key: K): void {
    const wanted = this.#wanted.get(key);
    const actual = this.#actual.get(key);
    mark(this.#puts, key, wanted !== undefined && (actual === undefined || this.#doubtful.has(key) || !this.#equal(wanted, actual)));
    mark(this.#deletes, key, wanted === undefined && actual !== undefined);
  }
}

function mark<K>(set: Set<K>, key: K, member: boolean): void {
  if (member) set.add(key);
  else set.delete(key);
}

function pick<K, V>(keys: ReadonlySet<K>, values: ReadonlyMap<K, V>): [K, V][] {
  const out: [K, V][] = [];
  for (const key of keys) {
    const value = values.get(key);
    if (value !== undefined) out.push([key, value]); // uncovered: what is pending has a value; only the type cannot say so
  }
  return out;
}
