import { formatAddress, parseAddress } from "../net/address.ts";
import type { Address } from "../net/address.ts";
import { isCidr, parseCidr } from "../net/cidr.ts";
import type { Cidr } from "../net/cidr.ts";
import { invalidArgument } from "./errors.ts";

/** What a caller sent, for an error: quoted, and never more than a line of it. */
const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);

/** Characters, not UTF-16 units: what the caller counts. */
const lengthOf = (text: string): number => [...text].length;

/** A value that must be there. Absent messages are undefined. */
export function required<Value>(value: Value | undefined, field: string): Value {
  if (value === undefined) throw invalidArgument(field, "is missing", "it is required");
  return value;
}

/** A text of `min` (default 1) to `max` characters. */
export function text(value: string, field: string, limits: { max: number; min?: number }): string {
  const min = limits.min ?? 1;
  const length = lengthOf(value);
  if (length === 0 && min > 0) throw invalidArgument(field, "is missing", `give ${min} to ${limits.max} characters`);
  if (length < min || length > limits.max) throw invalidArgument(field, `has ${length} characters`, `give ${min} to ${limits.max}`);
  return value;
}

/** A whole number within limits (inclusive). */
export function integer(value: number, field: string, limits: { min: number; max: number }): number {
  if (!Number.isInteger(value) || value < limits.min || value > limits.max) {
    throw invalidArgument(field, `is ${value}`, `give ${limits.min} to ${limits.max}`);
  }
  return value;
}

/** A list of `min` (default 0) to `max` items. */
export function listOf<Item>(items: readonly Item[], field: string, limits: { max: number; min?: number }): readonly Item[] {
  const min = limits.min ?? 0;
  if (items.length < min || items.length > limits.max) {
    throw invalidArgument(field, `has ${items.length} items`, `give ${min} to ${limits.max}`, "LIMIT_EXCEEDED", {
      limit: String(limits.max),
    });
  }
  return items;
}

/** A CIDR block with zero host bits; `family` and prefix limits where the field has them. */
export function cidrField(value: string, field: string, limits: { family?: 4 | 6; minPrefix?: number; maxPrefix?: number } = {}): Cidr {
  if (value === "") throw invalidArgument(field, "is missing", 'give a CIDR block ("10.0.0.0/16")');
  const parsed = parseCidr(value);
  if (!isCidr(parsed)) {
    const remedy =
      parsed.kind === "host-bits" ? `its host bits are not zero; did you mean ${parsed.network}?` : 'give a CIDR block ("10.0.0.0/16")';
    throw invalidArgument(field, `is ${shown(value)}`, remedy);
  }
  if (limits.family !== undefined && parsed.family !== limits.family)
    throw invalidArgument(field, `is ${shown(value)}`, `give an IPv${limits.family} block`);
  const { minPrefix = 0, maxPrefix = 128 } = limits;
  if (parsed.prefix < minPrefix || parsed.prefix > maxPrefix) {
    throw invalidArgument(field, `is ${shown(value)}`, `the prefix length must be ${minPrefix} to ${maxPrefix}`);
  }
  return parsed;
}

/** An IP address; `family` where the field has one. */
export function addressField(value: string, field: string, family?: 4 | 6): Address {
  const parsed = parseAddress(value);
  if (value === "") throw invalidArgument(field, "is missing", "give an IP address");
  if (parsed === undefined)
    throw invalidArgument(field, `is ${shown(value)}`, `give an IP${family === undefined ? "" : `v${family}`} address`);
  if (family !== undefined && parsed.family !== family)
    throw invalidArgument(field, `is ${formatAddress(parsed)}`, `give an IPv${family} address`);
  return parsed;
}

export const DEFAULT_PAGE_SIZE = 100;
export const MAX_PAGE_SIZE = 1_000;

/** Page size of a list: 1 to 1,000; 0 (absent) is 100. */
export function pageSize(value: number, field = "page_size"): number {
  return value === 0 ? DEFAULT_PAGE_SIZE : integer(value, field, { min: 1, max: MAX_PAGE_SIZE });
}

/** An idempotency key (C10): empty (none) or 1 to 128 printable ASCII characters. */
export function requestId(value: string, field = "request_id"): string {
  if (!/^[\x21-\x7e]{0,128}$/.test(value))
    throw invalidArgument(field, `is ${shown(value)}`, "give up to 128 printable ASCII characters, without spaces");
  return value;
}

/** An enum value that the contract knows and that is not the unspecified zero. `values` is the generated constant. */
export function enumValue<Value extends number>(value: number, values: Readonly<Record<string, Value>>, field: string): Value {
  const known = Object.entries(values).find(([, number]) => number === value);
  if (known !== undefined && value !== 0) return known[1];
  const names = Object.entries(values)
    .filter(([, number]) => number > 0)
    .map(([name]) => name);
  throw invalidArgument(field, value === 0 ? "is missing" : `is ${value}`, `give one of ${names.join(", ")}`);
}
