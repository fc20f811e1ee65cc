import type { Duration } from "#gen/google/protobuf/duration.ts";
import { aborted, invalidArgument } from "#lib/rpc/errors.ts";
import { nameFault } from "#lib/rpc/name.ts";

/** A name that becomes part of other names: 1 to 63 lower case letters, digits and hyphens. */
export function slug(value: string, field: string): string {
  if (value === "") throw invalidArgument(field, "is missing", "give 1 to 63 lower case letters, digits and hyphens");
  if (/^[a-z0-9-]{1,63}$/.test(value)) return value;
  throw invalidArgument(field, `is ${JSON.stringify(value.slice(0, 80))}`, "use 1 to 63 lower case letters, digits and hyphens");
}

/** A duration in milliseconds, within limits (inclusive); absent: `absentMs`. */
export function durationMs(
  value: Duration | undefined,
  field: string,
  limits: { readonly minMs: number; readonly maxMs: number; readonly absentMs: number },
): number {
  if (value === undefined) return limits.absentMs;
  const milliseconds = Number(value.seconds) * 1_000 + value.nanos / 1_000_000;
  if (milliseconds >= limits.minMs && milliseconds <= limits.maxMs) return milliseconds;
  throw invalidArgument(field, `is ${milliseconds / 1_000} s`, `give ${limits.minMs / 1_000} to ${limits.maxMs / 1_000} s`);
}

/** 9999-12-31: beyond it neither texts nor the database agree on what a time is. */
const LAST_TIME_MS = 253_402_300_799_999;

/** A time of the years 1970 to 9999; absent stays absent. */
export function timeField(value: Date | undefined, field: string): Date | undefined {
  if (value === undefined || (value.getTime() >= 0 && value.getTime() <= LAST_TIME_MS)) return value;
  throw invalidArgument(field, "is no time that we know", "give one of the years 1970 to 9999");
}

const MAX_TAGS = 50;
const MAX_TAG_KEY = 128;
const MAX_TAG_VALUE = 256;

/** Free key-value pairs: at most 50, keys 1 to 128 characters, values at most 256. */
export function tagsField(tags: Readonly<Record<string, string>>, field: string): Readonly<Record<string, string>> {
  const entries = Object.entries(tags);
  if (entries.length > MAX_TAGS) {
    throw invalidArgument(field, `has ${entries.length} pairs`, `give at most ${MAX_TAGS}`, "LIMIT_EXCEEDED", { limit: String(MAX_TAGS) });
  }
  for (const [key, value] of entries) {
    const path = `${field}[${JSON.stringify(key.slice(0, 40))}]`;
    if (key === "" || [...key].length > MAX_TAG_KEY)
      throw invalidArgument(path, `has a key of ${[...key].length} characters`, `use 1 to ${MAX_TAG_KEY}`);
    if ([...value].length > MAX_TAG_VALUE)
      throw invalidArgument(path, `has ${[...value].length} characters`, `give at most ${MAX_TAG_VALUE}`);
    const fault = nameFault(key);
    if (fault !== undefined) throw invalidArgument(path, `has a key that ${fault.fact}`, fault.remedy);
    // PostgreSQL keeps every character but this one.
    if (value.includes("\0")) throw invalidArgument(path, "has a NUL character", "leave it out");
  }
  return tags;
}

/** The etag of a row version. */
export const etagOf = (version: bigint): string => String(version);

/** An etag that was sent must be the row's: else ABORTED (STALE_ETAG). Ask only after authorising. */
export function checkEtag(sent: string, version: bigint): void {
  if (sent === "" || sent === etagOf(version)) return;
  throw aborted("STALE_ETAG", `etag ${JSON.stringify(sent.slice(0, 80))} is not the resource's; read it again and repeat`, {
    etag: etagOf(version),
  });
}
