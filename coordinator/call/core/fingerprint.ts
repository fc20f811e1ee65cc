import { createHash } from "node:crypto";

/** A value as text in which equal values are equal: keys sorted, so that the order of a map on the wire does not matter. */
export function canonical(value: unknown): string {
  if (value === undefined || value === null) return "null";
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Date) return `@${value.getTime()}`;
  if (value instanceof Uint8Array) return `#${Buffer.from(value).toString("hex")}`;
  if (value instanceof Map) return canonicalEntries([...value.entries()].map(([key, item]) => [String(key), item]));
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object") return canonicalEntries(Object.entries(value).filter(([, item]) => item !== undefined));
  return JSON.stringify(value);
}

function canonicalEntries(entries: readonly (readonly [string, unknown])[]): string {
  const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

/** Fingerprint of a request, to tell a repeat from another request under the same id (C10). 32 bytes. */
export function fingerprint(request: object): Uint8Array {
  return createHash("sha256").update(canonical(request)).digest();
}
