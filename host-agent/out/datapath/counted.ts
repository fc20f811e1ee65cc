import type { MapName } from "./bpf-map.ts";
import type { ElementLayout } from "./kernel-layout.ts";

/** Maps that only ever grow, and the fields that do: 64-bit numbers, one or several. */
export const COUNTED = {
  meters: ["packets", "bytes", "raw_bytes"],
  drops: ["count"],
} as const satisfies Partial<Record<MapName, readonly string[]>>;
export type CountedName = keyof typeof COUNTED;
export const COUNTED_NAMES = Object.keys(COUNTED) as CountedName[];

/** Where the 64-bit numbers of these fields begin in a value. */
export function numbersOf({ value, structs }: ElementLayout, fields: readonly string[]): number[] {
  const struct = value === undefined ? undefined : structs[value];
  return fields.flatMap((name) => {
    const field = struct?.fields[name];
    return field === undefined ? [] : Array.from({ length: field.size / 8 }, (_, i) => field.offset + i * 8);
  });
}

/** Adds the numbers at these places of one value to another's. */
export function addNumbers(to: Buffer, from: Buffer, places: readonly number[]): void {
  for (const at of places) to.writeBigUInt64LE(BigInt.asUintN(64, to.readBigUInt64LE(at) + from.readBigUInt64LE(at)), at);
}
