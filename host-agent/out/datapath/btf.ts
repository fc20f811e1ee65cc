/**
 * Reads the BPF type format (BTF) out of an object file made by clang, as far as map layouts need it. Format: the kernel's
 * Documentation/bpf/btf.rst. Little-endian 64-bit ELF only, which is what `-target bpf` makes on the machines we run on.
 */

export interface BtfMember {
  name: string;
  type: number;
  bitOffset: number;
}

export type BtfType =
  | { kind: "int"; name: string; size: number }
  | { kind: "pointer" | "alias"; name: string; type: number }
  | { kind: "array"; element: number; length: number }
  | { kind: "struct"; name: string; size: number; members: BtfMember[] }
  | { kind: "enum"; name: string; size: number; values: { name: string; value: number }[] }
  | { kind: "variable"; name: string; type: number }
  | { kind: "section"; name: string; variables: number[] }
  | { kind: "other"; name: string };

const KIND = { INT: 1, PTR: 2, ARRAY: 3, STRUCT: 4, UNION: 5, ENUM: 6, TYPEDEF: 8, VOLATILE: 9, CONST: 10, RESTRICT: 11 };
const MORE = { FUNC_PROTO: 13, VAR: 14, DATASEC: 15, DECL_TAG: 17, ENUM64: 19 };

/** Content of the ELF section of that name. @throws Error if the file is no 64-bit little-endian ELF or has no such section. */
function elfSection(file: Buffer, wanted: string): Buffer {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) {
    throw new Error("not a 64-bit little-endian ELF file");
  }
  const table = Number(file.readBigUInt64LE(40));
  const entrySize = file.readUInt16LE(58);
  const header = (index: number): Buffer => file.subarray(table + index * entrySize, table + (index + 1) * entrySize);
  const content = (h: Buffer): Buffer => {
    const offset = Number(h.readBigUInt64LE(24));
    return file.subarray(offset, offset + Number(h.readBigUInt64LE(32)));
  };
  const names = content(header(file.readUInt16LE(62)));
  for (let index = 0; index < file.readUInt16LE(60); index++) {
    const h = header(index);
    if (cString(names, h.readUInt32LE(0)) === wanted) return content(h);
  }
  throw new Error(`no section ${wanted} in the object: was it compiled with -g?`);
}

function cString(bytes: Buffer, offset: number): string {
  return bytes.toString("latin1", offset, bytes.indexOf(0, offset));
}

/** All types of an object file; the index is the BTF type id (0 is void). @throws Error for anything that is not BTF version 1. */
export function readBtf(objectFile: Buffer): BtfType[] {
  return parseBtf(elfSection(objectFile, ".BTF"));
}

/** The same of what lies in that section, or was read from the kernel. */
export function parseBtf(btf: Buffer): BtfType[] {
  if (btf.readUInt16LE(0) !== 0xeb9f || btf[2] !== 1) throw new Error("not BTF version 1");
  const headerLength = btf.readUInt32LE(4);
  const start = headerLength + btf.readUInt32LE(8);
  const strings = btf.subarray(headerLength + btf.readUInt32LE(16));
  const bytes = btf.subarray(start, start + btf.readUInt32LE(12));
  const types: BtfType[] = [{ kind: "other", name: "void" }];
  for (let at = 0; at < bytes.length;) {
    const { type, length } = decodeType(bytes.subarray(at), (offset) => cString(strings, offset));
    types.push(type);
    at += length;
  }
  return types;
}

function decodeType(bytes: Buffer, string: (offset: number) => string): { type: BtfType; length: number } {
  const name = string(bytes.readUInt32LE(0));
  const info = bytes.readUInt32LE(4);
  const sizeOrType = bytes.readUInt32LE(8);
  const count = info & 0xffff;
  const rows = <T>(size: number, read: (row: Buffer) => T): { list: T[]; length: number } => ({
    list: Array.from({ length: count }, (_, i) => read(bytes.subarray(12 + i * size, 12 + (i + 1) * size))),
    length: 12 + count * size,
  });
  switch ((info >>> 24) & 0x1f) {
    case KIND.INT:
      return { type: { kind: "int", name, size: sizeOrType }, length: 16 };
    case KIND.PTR:
      return { type: { kind: "pointer", name, type: sizeOrType }, length: 12 };
    case KIND.TYPEDEF:
    case KIND.VOLATILE:
    case KIND.CONST:
    case KIND.RESTRICT:
      return { type: { kind: "alias", name, type: sizeOrType }, length: 12 };
    case KIND.ARRAY:
      return { type: { kind: "array", element: bytes.readUInt32LE(12), length: bytes.readUInt32LE(20) }, length: 24 };
    case KIND.STRUCT:
    case KIND.UNION: {
      const { list, length } = rows(12, (r) => ({
        name: string(r.readUInt32LE(0)),
        type: r.readUInt32LE(4),
        bitOffset: info >>> 31 ? r.readUInt32LE(8) & 0xffffff : r.readUInt32LE(8),
      }));
      return { type: { kind: "struct", name, size: sizeOrType, members: list }, length };
    }
    case KIND.ENUM: {
      const { list, length } = rows(8, (r) => ({ name: string(r.readUInt32LE(0)), value: r.readInt32LE(4) }));
      return { type: { kind: "enum", name, size: sizeOrType, values: list }, length };
    }
    case MORE.VAR:
      return { type: { kind: "variable", name, type: sizeOrType }, length: 16 };
    case MORE.DATASEC: {
      const { list, length } = rows(12, (r) => r.readUInt32LE(0));
      return { type: { kind: "section", name, variables: list }, length };
    }
    case MORE.FUNC_PROTO:
      return { type: { kind: "other", name }, length: 12 + count * 8 };
    case MORE.DECL_TAG:
      return { type: { kind: "other", name }, length: 16 };
    case MORE.ENUM64:
      return { type: { kind: "other", name }, length: 12 + count * 12 };
    default: // forward declarations, functions, floats, type tags: nothing follows the common part
      return { type: { kind: "other", name }, length: 12 };
  }
}
