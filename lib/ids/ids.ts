import { v7 as uuidv7 } from "uuid";
import { invalidArgument } from "../rpc/errors.ts";

/** Prefix of every kind of id, and the word for people (C11). */
export const ID_KINDS = {
  acct: "account",
  zone: "zone",
  vpc: "VPC",
  subnet: "subnet",
  rtb: "route table",
  sg: "security group",
  sgr: "security group rule",
  eni: "interface",
  "eni-attach": "attachment",
  i: "instance",
  host: "host",
  cons: "consent",
  bnet: "backnet",
  dlg: "delegation",
  op: "operation",
  audit: "audit entry",
} as const;

export type IdPrefix = keyof typeof ID_KINDS;

/** A new id: `<prefix>-` and 32 lower-case hexadecimal digits of a UUIDv7 (so ids of one kind sort by time). */
export function newId(prefix: IdPrefix): string {
  return `${prefix}-${uuidv7().replaceAll("-", "")}`;
}

const SHAPES = new Map<string, RegExp>(Object.keys(ID_KINDS).map((prefix) => [prefix, new RegExp(`^${prefix}-[0-9a-f]{32}$`)]));

/** Whether `id` has the shape of this kind's ids. */
export function isId(prefix: IdPrefix, id: string): boolean {
  return SHAPES.get(prefix)?.test(id) ?? false;
}

/** The word for people with its article ("an interface"). */
export const aKind = (prefix: IdPrefix): string => `${/^[aio]/.test(ID_KINDS[prefix]) ? "an" : "a"} ${ID_KINDS[prefix]}`;

/** The id, or INVALID_ARGUMENT that names the field. */
export function parseId(prefix: IdPrefix, id: string, field: string): string {
  if (isId(prefix, id)) return id;
  if (id === "") throw invalidArgument(field, "is missing", `give the id of ${aKind(prefix)} (${prefix}-…)`);
  throw invalidArgument(
    field,
    `is ${JSON.stringify(id.slice(0, 80))}`,
    `an id of ${aKind(prefix)} is ${prefix}- and 32 hexadecimal digits`,
  );
}
