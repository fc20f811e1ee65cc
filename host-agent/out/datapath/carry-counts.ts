import { join } from "node:path";
import { BpfMap, type MapName } from "./bpf-map.ts";
import { Carried } from "./carried.ts";
import { addNumbers, COUNTED, COUNTED_NAMES, numbersOf, type CountedName } from "./counted.ts";
import { conversion, NotCarried } from "./convert-layout.ts";
import { openForeign, withForeign, type DescribedMap } from "./foreign-map.ts";
import { describeMap } from "./kernel-layout.ts";
import * as libbpf from "./libbpf.ts";
import type { PinSet } from "./pins.ts";

const HASH = 1;
const NO_PREALLOC = 1;
/** struct bpf_map_create_opts: its size, the BTF and its types, flags. */
const OPTS = { size: 48, btf: 8, key: 12, value: 16, flags: 28 };

/**
 * Takes over what another set has counted, for good: from the next reading on it is part of this version's, and the other set is gone.
 * No program may count there any more. Killed between any two lines, the other set is either still to be read or already taken over.
 *
 * @returns what could not be carried, in words
 * @throws KernelError
 */
export function takeOverCounts(other: PinSet, set: PinSet, own: Readonly<Record<MapName, BpfMap>>): string[] {
  const lost: string[] = [];
  const draft = set.draftCarried();
  const before = new Carried(set);
  try {
    for (const name of COUNTED_NAMES) {
      const values = new Map(before.entries(name).map(([key, value]) => [key.toString("latin1"), value]));
      try {
        addCounts(other, own[name], name, values);
      } catch (error) {
        if (!(error instanceof NotCarried)) throw error;
        lost.push(`the counts of ${name} are lost: ${error.message}`);
      }
      pinValues(own[name], values, join(draft, name));
    }
  } finally {
    before.close();
  }
  set.commitCarried(other);
  return lost;
}

/** Adds to `values`, by key, what the other set's live map has and what it has carried itself. */
function addCounts(other: PinSet, own: BpfMap, name: CountedName, values: Map<string, Buffer>): void {
  const carried = openForeign(other.carried, name);
  try {
    withForeign(other, own, (old, convert, { layout }) => {
      const places = numbersOf(layout, COUNTED[name]);
      const earlier = carried && conversion(carried.layout, layout);
      for (const [key, all] of old.map.entries()) {
        const [first, ...rest] = slots(old, all).map((slot) => convert.value(slot));
        if (first === undefined) continue;
        for (const slot of rest) addNumbers(first, slot, places);
        const past = carried?.map.get(key);
        if (earlier !== undefined && past !== undefined) addNumbers(first, earlier.value(past), places);
        const ownKey = convert.key(key).toString("latin1");
        const known = values.get(ownKey);
        if (known !== undefined) addNumbers(first, known, places);
        values.set(ownKey, first);
      }
    });
  } finally {
    carried?.map.close();
  }
}

/** One value a processor. */
function slots({ map, layout }: DescribedMap, all: Buffer): Buffer[] {
  return Array.from({ length: all.length / map.stride }, (_, i) => all.subarray(i * map.stride, i * map.stride + layout.valueSize));
}

/** A map with elements like the live one's, but one for all processors. */
function pinValues(live: BpfMap, values: ReadonlyMap<string, Buffer>, path: string): void {
  const { keySize, valueSize, maxEntries, btfId, keyTypeId, valueTypeId } = describeMap(live.fd);
  const opts = Buffer.alloc(OPTS.size);
  opts.writeBigUInt64LE(BigInt(OPTS.size), 0);
  opts.writeUInt32LE(NO_PREALLOC, OPTS.flags);
  opts.writeUInt32LE(keyTypeId, OPTS.key);
  opts.writeUInt32LE(valueTypeId, OPTS.value);
  const made = libbpf.withKernelBtf(btfId, (btf) => {
    opts.writeUInt32LE(btf, OPTS.btf);
    return libbpf.check(libbpf.mapCreate(HASH, "carried", keySize, valueSize, maxEntries, opts), "make a map for carried counts");
  });
  const map = new BpfMap<string>("carried", made, { type: HASH, keySize, valueSize });
  try {
    const keys = [...values.keys()].map((key) => Buffer.from(key, "latin1"));
    map.putMany(Buffer.concat(keys), Buffer.concat([...values.values()]), values.size);
    libbpf.check(libbpf.objPin(made, path), `pin ${path}`);
  } finally {
    map.close();
  }
}
