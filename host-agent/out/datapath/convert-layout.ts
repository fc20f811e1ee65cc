import { DEFAULT_CONNECTION_LIMITS } from "./connections.ts";
import type { FieldLayout, StructLayout } from "./describe-layout.ts";
import type { ElementLayout } from "./kernel-layout.ts";
import { u32 } from "./record.ts";

const LPM_TRIE = 11;

/** Bytes that a field begins with which the old layout does not have, by struct and field. What is not named here begins with zero. */
export type Defaults = Readonly<Record<string, Readonly<Record<string, Uint8Array>>>>;
export const DEFAULTS: Defaults = { connection_budget: { share: u32(DEFAULT_CONNECTION_LIMITS.share) } };

/** Makes keys and values of one layout out of another's; each time a buffer of its own. */
export interface Conversion {
  key(old: Buffer): Buffer;
  value(old: Buffer): Buffer;
}

/** Elements cannot be carried without a chance of a wrong value. */
export class NotCarried extends Error {
  override readonly name = "NotCarried";
}

type Part = "key" | "value";
type Structs = ElementLayout["structs"];
const SIZE = { key: "keySize", value: "valueSize" } as const;

/**
 * How elements of an old layout become those of a new one (D21): field by field, by name. A number may have grown (numbers are unsigned),
 * and an array; a field that is gone is left out, one that is new gets its default.
 *
 * @throws NotCarried where a field shrank or became something else; where a key lost a field (two elements would become one); for a
 *   prefix tree whose key changed at all (a prefix's length counts its bits)
 */
export function conversion(from: ElementLayout, to: ElementLayout, defaults: Defaults = DEFAULTS): Conversion {
  if ((from.type === LPM_TRIE || to.type === LPM_TRIE) && !(from.type === to.type && isIdentical(from, to, "key")))
    throw new NotCarried("the key of a prefix tree changed");
  return { key: converter(from, to, "key", defaults), value: converter(from, to, "value", defaults) };
}

/** Whether each byte means the same in both. */
export function isIdentical(from: ElementLayout, to: ElementLayout, part: Part): boolean {
  return from[SIZE[part]] === to[SIZE[part]] && describe(from.structs, from[part]) === describe(to.structs, to[part]);
}

function describe(structs: Structs, name: string | undefined): string {
  if (name === undefined) return "";
  const { size, fields } = structOf(structs, name);
  const lines = Object.entries(fields).map(([field, f]) =>
    JSON.stringify([field, f.offset, f.size, f.length, describe(structs, f.struct)]),
  );
  return [String(size), ...lines.toSorted()].join(" ");
}

function structOf(structs: Structs, name: string): StructLayout {
  const struct = structs[name];
  if (struct === undefined) throw new NotCarried(`struct ${name} is not described`);
  return struct;
}

function converter(from: ElementLayout, to: ElementLayout, part: Part, defaults: Defaults): (old: Buffer) => Buffer {
  const plan = new Plan(from, to, part, defaults);
  return (old) => {
    const made = Buffer.from(plan.blank);
    for (const { source, target, length } of plan.copies) old.copy(made, target, source, source + length);
    return made;
  };
}

class Plan {
  readonly copies: { source: number; target: number; length: number }[] = [];
  /** What stands where nothing is copied to. */
  readonly blank: Buffer;
  readonly #from: Structs;
  readonly #to: Structs;
  readonly #part: Part;
  readonly #defaults: Defaults;

  constructor(from: ElementLayout, to: ElementLayout, part: Part, defaults: Defaults) {
    this.#from = from.structs;
    this.#to = to.structs;
    this.#part = part;
    this.#defaults = defaults;
    this.blank = Buffer.alloc(to[SIZE[part]]);
    const whole = (layout: ElementLayout): FieldLayout => ({ offset: 0, size: layout[SIZE[part]], struct: layout[part] });
    this.#field(part, whole(from), whole(to), 0, 0);
  }

  #struct(oldName: string, newName: string, source: number, target: number): void {
    const old = structOf(this.#from, oldName).fields;
    const fresh = structOf(this.#to, newName).fields;
    for (const [name, field] of Object.entries(fresh)) {
      const before = old[name];
      if (before === undefined) this.#preset(newName, name, field, target);
      else this.#field(`${newName}.${name}`, before, field, source, target);
    }
    const lost = Object.keys(old).find((name) => fresh[name] === undefined);
    if (this.#part === "key" && lost !== undefined) throw new NotCarried(`the key lost ${oldName}.${lost}`);
  }

  #field(what: string, old: FieldLayout, fresh: FieldLayout, sourceBase: number, targetBase: number): void {
    const source = sourceBase + old.offset;
    const target = targetBase + fresh.offset;
    const [oldCount, newCount] = [old.length ?? 1, fresh.length ?? 1];
    const [oldSize, newSize] = [old.size / oldCount, fresh.size / newCount];
    if ((old.length === undefined) !== (fresh.length === undefined) || (old.struct === undefined) !== (fresh.struct === undefined))
      throw new NotCarried(`${what} became something else`);
    if (newCount < oldCount) throw new NotCarried(`${what} holds ${newCount} elements, before ${oldCount}`);
    if (old.struct === undefined && newSize < oldSize) throw new NotCarried(`${what} has ${newSize} bytes, before ${oldSize}`);
    for (let i = 0; i < oldCount; i++) {
      if (old.struct === undefined || fresh.struct === undefined) this.#copy(source + i * oldSize, target + i * newSize, oldSize);
      else this.#struct(old.struct, fresh.struct, source + i * oldSize, target + i * newSize);
    }
  }

  /** Neighbours that stay neighbours are one copy: this is done a million times. */
  #copy(source: number, target: number, length: number): void {
    const last = this.copies.at(-1);
    if (last !== undefined && last.source + last.length === source && last.target + last.length === target) last.length += length;
    else this.copies.push({ source, target, length });
  }

  /** Of a new field of a struct. Of a new field that is a struct itself, its own fields' defaults. */
  #preset(struct: string, name: string, field: FieldLayout, base: number): void {
    const bytes = this.#defaults[struct]?.[name];
    if (bytes !== undefined) this.blank.set(bytes, base + field.offset);
    const inner = field.struct;
    if (inner === undefined) return;
    const size = field.size / (field.length ?? 1);
    for (let at = field.offset; at < field.offset + field.size; at += size)
      for (const [innerName, innerField] of Object.entries(structOf(this.#to, inner).fields))
        this.#preset(inner, innerName, innerField, base + at);
  }
}
