import { closeSync } from "node:fs";
import { constants } from "node:os";
import { KernelError } from "#lib/linux/index.ts";
import { check, mapDelete, mapDeleteBatch, mapLookup, mapLookupBatch, mapUpdate, mapUpdateBatch, possibleCpus } from "./libbpf.ts";
import { MAPS } from "./layout.gen.ts";

export type MapName = keyof typeof MAPS;

/** bpf(2)'s update flags. */
const ANY = 0n;
const NOEXIST = 1n;
const PERCPU_HASH = 5;
/** Elements of one batched call: large enough that the call itself costs nothing, small enough for 5 KB values. */
const BATCH = 1024;

const { ENOENT, EEXIST, ENOSPC, E2BIG } = constants.errno;

/** What a map's calls depend on; sizes in bytes. */
export interface MapShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
}

/** A hash that is full says E2BIG, a prefix tree ENOSPC: both in words for whoever reads why an attachment failed. */
function checkRoom(result: number, asked: string): void {
  if (result === -E2BIG || result === -ENOSPC)
    throw new KernelError(-result, asked, "the host's table is full: it has room again when others' elements go");
  check(result, asked);
}

/** A map, by descriptor. Keys and values are the bytes of the C structs. All methods throw KernelError. */
export class BpfMap<Name extends string = MapName> {
  readonly name: Name;
  readonly fd: number;
  /** Bytes of one processor's value inside what `get` and `entries` return. */
  readonly stride: number;
  readonly #keySize: number;
  readonly #valueSize: number;

  /** Takes the descriptor over. */
  constructor(name: Name, fd: number, { type, keySize, valueSize }: MapShape) {
    const perCpu = type === PERCPU_HASH;
    this.name = name;
    this.fd = fd;
    this.stride = perCpu ? Math.ceil(valueSize / 8) * 8 : valueSize;
    this.#keySize = keySize;
    this.#valueSize = this.stride * (perCpu ? check(possibleCpus(), "count processors") : 1);
  }

  /** The value (for a per-CPU map: all values, one after the other, each rounded up to 8 bytes), or undefined. */
  get(key: Buffer): Buffer | undefined {
    const value = Buffer.alloc(this.#valueSize);
    const result = mapLookup(this.fd, key, value);
    if (result === -ENOENT) return undefined;
    check(result, `read ${this.name}`);
    return value;
  }

  /** Replaces the element at once: a program sees the old value or the new one. */
  put(key: Buffer, value: Buffer): void {
    checkRoom(mapUpdate(this.fd, key, value, ANY), `write ${this.name}`);
  }

  /** One of this version's. Takes the descriptor over. */
  static own(name: MapName, fd: number): BpfMap {
    return new BpfMap(name, fd, MAPS[name]);
  }

  /** Creates an element; one that exists keeps its value. In a per-CPU map every processor gets `value`. */
  putIfAbsent(key: Buffer, value: Buffer): void {
    const whole = Buffer.concat(Array.from({ length: this.#valueSize / this.stride }, () => value));
    const result = mapUpdate(this.fd, key, whole, NOEXIST);
    if (result !== -EEXIST) checkRoom(result, `create in ${this.name}`);
  }

  delete(key: Buffer): void {
    const result = mapDelete(this.fd, key);
    if (result !== -ENOENT) check(result, `delete from ${this.name}`);
  }

  /** Keys and values of `count` elements, one after the other. */
  putMany(keys: Buffer, values: Buffer, count: number): void {
    const done = new Uint32Array(1);
    for (let from = 0; from < count; from += BATCH) {
      const n = Math.min(BATCH, count - from);
      done[0] = n;
      const keyPart = keys.subarray(from * this.#keySize, (from + n) * this.#keySize);
      const valuePart = values.subarray(from * this.#valueSize, (from + n) * this.#valueSize);
      checkRoom(mapUpdateBatch(this.fd, keyPart, valuePart, done, null), `write ${n} elements of ${this.name}`);
    }
  }

  deleteMany(keys: readonly Buffer[]): void {
    // The batched call stops at a key that is not there, so it is for whole sets only; 1 µs each is fast enough for removals.
    if (keys.length === 0) return;
    const all = new Uint32Array([keys.length]);
    const result = mapDeleteBatch(this.fd, Buffer.concat([...keys]), all, null);
    if (result === -ENOENT) for (const key of keys) this.delete(key);
    else check(result, `delete ${keys.length} elements of ${this.name}`);
  }

  /** All elements, as `get` gives them (views, valid for long). One that changes meanwhile may be missed or seen twice. */
  *entries(): Generator<[key: Buffer, value: Buffer]> {
    for (const { keys, values, count } of this.chunks()) {
      for (let i = 0; i < count; i++) {
        yield [keys.subarray(i * this.#keySize, (i + 1) * this.#keySize), values.subarray(i * this.#valueSize, (i + 1) * this.#valueSize)];
      }
    }
  }

  /** The same without a view each: keys and values of `count` elements, one after the other. */
  *chunks(size = 256): Generator<{ keys: Buffer; values: Buffer; count: number }> {
    let token: Buffer | null = null;
    for (;;) {
      const next = Buffer.alloc(Math.max(4, this.#keySize));
      const keys = Buffer.alloc(size * this.#keySize);
      const values = Buffer.alloc(size * this.#valueSize);
      const count = new Uint32Array([size]);
      const result = mapLookupBatch(this.fd, token, next, keys, values, count, null);
      if (result === -ENOSPC) {
        size *= 2; // one hash bucket holds more than fits
        continue;
      }
      if (result !== -ENOENT) check(result, `read all of ${this.name}`);
      yield { keys, values, count: count[0] ?? 0 };
      if (result === -ENOENT) return;
      token = next;
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}
