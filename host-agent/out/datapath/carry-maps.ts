import { hasCode } from "#lib/linux/index.ts";
import type { BpfMap, MapName } from "./bpf-map.ts";
import { isIdentical, NotCarried, type Conversion } from "./convert-layout.ts";
import { describe, openForeign, withForeign, type DescribedMap } from "./foreign-map.ts";
import { COUNTED, numbersOf } from "./counted.ts";
import type { PinSet } from "./pins.ts";

/** Maps that begin empty in an upgrade: programs fill them as they go (`common` with the connections that are brought). What is lost with `fragments` lives for two seconds. */
const BEGIN_EMPTY: ReadonlySet<MapName> = new Set(["scratch", "fragments", "untimed", "sweeper", "connections", "common"]);

/** What an element begins at zero with though it is carried: counts stay where they were counted, and are added from there. */
const FROM_ZERO: Partial<Record<MapName, readonly string[]>> = {
  ...COUNTED,
  budgets: ["count"], // carry-connections.ts counts what it brings
};

/** Maps that rest on each other's bytes (a ruleset's digest is over its tables' entries): carried if all are the same, or none. */
const TOGETHER: readonly MapName[] = ["rulesets", "rule_peers", "rule_ports", "rule_groups"];

const CHUNK = 1024;

/**
 * Fills this version's empty maps with the elements of another set's, whatever is in the way of one map: it then begins empty, and
 * the reconciler fills it. No program may run on `own` yet.
 *
 * @returns what could not be carried, in words
 * @throws KernelError
 */
export function carryMaps(set: PinSet, own: Readonly<Record<MapName, BpfMap>>): string[] {
  const lost: string[] = [];
  const rulesApart = TOGETHER.find((name) => !isSame(set, own[name]));
  for (const map of Object.values(own)) {
    if (BEGIN_EMPTY.has(map.name)) continue;
    try {
      if (rulesApart !== undefined && TOGETHER.includes(map.name)) throw new NotCarried(`${rulesApart} is laid out otherwise`);
      const left = withForeign(set, map, (old, convert, described) => copy(old, described, convert, FROM_ZERO[map.name] ?? [])) ?? 0;
      if (left > 0) lost.push(`${map.name}: ${left} elements found no room`);
    } catch (error) {
      if (!(error instanceof NotCarried)) throw error;
      lost.push(`${map.name} begins empty: ${error.message}`);
    }
  }
  return lost;
}

function isSame(set: PinSet, own: BpfMap): boolean {
  try {
    const old = openForeign(set.maps, own.name);
    if (old === undefined) return false;
    old.map.close();
    const { layout } = describe(own);
    return isIdentical(old.layout, layout, "key") && isIdentical(old.layout, layout, "value");
  } catch (error) {
    if (error instanceof NotCarried) return false;
    throw error;
  }
}

/** Returns how many found no room. */
function copy(old: DescribedMap, own: DescribedMap, convert: Conversion, fromZero: readonly string[]): number {
  const zeroed = numbersOf(own.layout, fromZero);
  const valueOf = (all: Buffer): Buffer => {
    const parts: Buffer[] = [];
    for (let at = 0; at < all.length; at += old.map.stride) {
      const value = convert.value(all.subarray(at, at + old.layout.valueSize));
      for (const at of zeroed) value.fill(0, at, at + 8);
      parts.push(value, Buffer.alloc(own.map.stride - value.length));
    }
    return Buffer.concat(parts);
  };
  let left = 0;
  let chunk: [key: Buffer, value: Buffer][] = [];
  const write = (): void => {
    left += putAll(own.map, chunk);
    chunk = [];
  };
  for (const [key, value] of old.map.entries()) {
    chunk.push([convert.key(key), valueOf(value)]);
    if (chunk.length === CHUNK) write();
  }
  write();
  return left;
}

function putAll(map: BpfMap<string>, elements: readonly [key: Buffer, value: Buffer][]): number {
  const parts = (of: 0 | 1): Buffer => Buffer.concat(elements.map((element) => element[of]));
  if (hasRoom(() => map.putMany(parts(0), parts(1), elements.length))) return 0;
  return elements.filter(([key, value]) => !hasRoom(() => map.put(key, value))).length;
}

function hasRoom(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (hasCode(error, "E2BIG", "ENOSPC")) return false;
    throw error;
  }
}
