import { createHash } from "node:crypto";
import { readBtf, type BtfType } from "./btf.ts";

/** Where a field lies in its struct, in bytes. `struct` names the field's (or its elements') struct type; `length` is set for arrays. */
export interface FieldLayout {
  offset: number;
  size: number;
  struct?: string;
  length?: number;
}

export interface StructLayout {
  size: number;
  fields: Record<string, FieldLayout>;
}

/** One map as the object defines it; sizes in bytes. */
export interface MapLayout {
  type: number;
  flags: number;
  maxEntries: number;
  keySize: number;
  valueSize: number;
  key?: string;
  value?: string;
}

export interface Layout {
  /** Names the pin directory: equal hashes mean that pinned maps can be adopted (D21). */
  schema: string;
  maps: Record<string, MapLayout>;
  structs: Record<string, StructLayout>;
  enums: Record<string, Record<string, number>>;
}

/** Maps, and the structs and enums with a name, of a compiled object. @throws Error if the file has no BTF. */
export function describeLayout(objectFile: Buffer): Layout {
  const types = readBtf(objectFile);
  const { structs, enums } = describeTypes(types);
  const maps = describeMaps(types);
  return { schema: schemaOf(maps, structs), maps, structs, enums };
}

/** The structs and enums with a name. */
export function describeTypes(types: BtfType[]): Pick<Layout, "structs" | "enums"> {
  const structs: Record<string, StructLayout> = {};
  const enums: Record<string, Record<string, number>> = {};
  for (const type of types) {
    if (type.kind === "struct" && type.name !== "") structs[type.name] = describeStruct(types, type);
    if (type.kind === "enum" && type.name !== "") enums[type.name] = Object.fromEntries(type.values.map((v) => [v.name, v.value]));
  }
  return { structs, enums };
}

function at(types: BtfType[], id: number): BtfType {
  const type = types[id];
  if (type === undefined) throw new Error(`BTF names a type ${id} that is not there`);
  return type.kind === "alias" ? at(types, type.type) : type;
}

function sizeOf(types: BtfType[], id: number): number {
  const type = at(types, id);
  if (type.kind === "int" || type.kind === "struct" || type.kind === "enum") return type.size;
  if (type.kind === "array") return type.length * sizeOf(types, type.element);
  if (type.kind === "pointer") return 8;
  throw new Error(`BTF type ${id} (${type.kind}) has no size`);
}

/** Of the struct that the type is; undefined if it is none, or has no name. */
export function structName(types: BtfType[], id: number): string | undefined {
  const type = at(types, id);
  return type.kind === "struct" && type.name !== "" ? type.name : undefined;
}

function describeStruct(types: BtfType[], type: BtfType & { kind: "struct" }): StructLayout {
  const fields: Record<string, FieldLayout> = {};
  for (const member of type.members) {
    const inner = at(types, member.type);
    const isBytes = inner.kind === "array" && sizeOf(types, inner.element) === 1;
    fields[member.name] = {
      offset: member.bitOffset / 8,
      size: sizeOf(types, member.type),
      struct: structName(types, inner.kind === "array" ? inner.element : member.type),
      length: inner.kind === "array" && !isBytes ? inner.length : undefined,
    };
  }
  return { size: type.size, fields };
}

/** A BTF-defined map is a struct of pointers: to an array whose length is the number meant, or to the type meant. */
function describeMaps(types: BtfType[]): Record<string, MapLayout> {
  const section = types.find((t) => t.kind === "section" && t.name === ".maps");
  const maps: Record<string, MapLayout> = {};
  if (section?.kind !== "section") return maps;
  for (const id of section.variables) {
    const variable = types[id];
    const definition = variable?.kind === "variable" ? at(types, variable.type) : undefined;
    if (variable?.kind !== "variable" || definition?.kind !== "struct") throw new Error("a map that is not defined in BTF style");
    const pointed = (name: string): number | undefined => {
      const member = definition.members.find((m) => m.name === name);
      const pointer = member && at(types, member.type);
      return pointer?.kind === "pointer" ? pointer.type : undefined;
    };
    const number = (name: string): number => {
      const target = pointed(name);
      const array = target === undefined ? undefined : at(types, target);
      return array?.kind === "array" ? array.length : 0;
    };
    const key = pointed("key");
    const value = pointed("value");
    if (key === undefined || value === undefined) throw new Error(`map ${variable.name} has no key or value type`);
    maps[variable.name] = {
      type: number("type"),
      flags: number("map_flags"),
      maxEntries: number("max_entries"),
      keySize: sizeOf(types, key),
      valueSize: sizeOf(types, value),
      key: structName(types, key),
      value: structName(types, value),
    };
  }
  return maps;
}

/** Over the maps and every struct that a key or value is made of; what programs keep to themselves does not count. */
function schemaOf(maps: Record<string, MapLayout>, structs: Record<string, StructLayout>): string {
  const used: Record<string, StructLayout> = {};
  const use = (name: string | undefined): void => {
    const struct = name === undefined ? undefined : structs[name];
    if (name === undefined || struct === undefined || name in used) return;
    used[name] = struct;
    for (const field of Object.values(struct.fields)) use(field.struct);
  };
  for (const map of Object.values(maps)) [map.key, map.value].forEach(use);
  const sorted = (record: Record<string, unknown>): [string, unknown][] => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([sorted(maps), sorted(used)]))
    .digest("hex")
    .slice(0, 12);
}
