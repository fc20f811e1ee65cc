import { STRUCTS } from "./layout.gen.ts";

type Structs = typeof STRUCTS;
export type StructName = keyof Structs;
type Field<S extends StructName> = keyof Structs[S]["fields"];

/** Numbers for integers of up to 4 bytes, bigint for 8, bytes for the rest (nested structs included). */
type FieldValue = number | bigint | Uint8Array;

interface FieldAt {
  readonly offset: number;
  readonly size: number;
}

function fieldOf<S extends StructName>(struct: S, name: Field<S>): FieldAt {
  return (STRUCTS[struct].fields as Record<Field<S>, FieldAt>)[name];
}

/** A struct's bytes from its fields; fields not given are zero. @throws RangeError where a value does not fit its field */
export function encode<S extends StructName>(struct: S, values: Partial<Record<Field<S>, FieldValue>>): Buffer {
  const buffer = Buffer.alloc(STRUCTS[struct].size);
  for (const [name, value] of Object.entries(values) as [Field<S>, FieldValue][]) {
    const { offset, size } = fieldOf(struct, name);
    if (typeof value === "bigint") buffer.writeBigUInt64LE(value, offset);
    else if (typeof value === "number") buffer.writeUIntLE(value, offset, size);
    else if (value.length > size) throw new RangeError(`${struct}.${String(name)} has ${size} bytes, not ${value.length}`);
    else buffer.set(value, offset);
  }
  return buffer;
}

export function readNumber<S extends StructName>(struct: S, buffer: Buffer, name: Field<S>): number {
  const { offset, size } = fieldOf(struct, name);
  return buffer.readUIntLE(offset, size);
}

export function readBigint<S extends StructName>(struct: S, buffer: Buffer, name: Field<S>): bigint {
  return buffer.readBigUInt64LE(fieldOf(struct, name).offset);
}

/** A view, not a copy. */
export function readBytes<S extends StructName>(struct: S, buffer: Buffer, name: Field<S>): Buffer {
  const { offset, size } = fieldOf(struct, name);
  return buffer.subarray(offset, offset + size);
}

/** A 4-byte key. @throws RangeError outside 0..2^32-1 */
export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}
