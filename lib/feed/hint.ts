import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Says after a commit what it changed, so that nobody has to ask. Never the truth: it may be lost, doubled or late (C2). */
export interface Hint {
  readonly scope: string;
  /** The version that `delta` goes on top of. */
  readonly prev: bigint;
  readonly version: bigint;
  /** Marks of both (see Position); absent in a hint of a writer that knows none, whose delta is not taken. */
  readonly prevMark?: bigint | undefined;
  readonly mark?: bigint | undefined;
  /** The change itself; absent when too large for the bus. */
  readonly delta?: Uint8Array | undefined;
}

/** NATS takes 1 MB a message; past this a reader reads the row. */
const MAX_DELTA_BYTES = 512 * 1024;

/** "network:vpc-…" → "network". Throws on a scope without a kind. */
export function scopeKind(scope: string): string {
  const kind = /^([a-z][a-z0-9_-]*):./.exec(scope)?.[1];
  if (kind === undefined) throw new Error(`${JSON.stringify(scope)} is not <kind>:<id>`);
  return kind;
}

export function hintSubject(kind: string): string {
  return `plenum.int.hint.${kind}`;
}

/** Protobuf wire format: 1 scope, 2 prev, 3 version, 4 delta, 5 mark of prev, 6 mark. */
export function encodeHint(hint: Hint): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(hint.scope);
  writer.tag(2, WireType.Varint).uint64(hint.prev);
  writer.tag(3, WireType.Varint).uint64(hint.version);
  if (hint.delta !== undefined && hint.delta.length <= MAX_DELTA_BYTES) writer.tag(4, WireType.LengthDelimited).bytes(hint.delta);
  if (hint.prevMark !== undefined) writer.tag(5, WireType.Varint).uint64(hint.prevMark);
  if (hint.mark !== undefined) writer.tag(6, WireType.Varint).uint64(hint.mark);
  return writer.finish();
}

/** Throws on bytes that are no hint. */
export function decodeHint(bytes: Uint8Array): Hint {
  const reader = new BinaryReader(bytes);
  let scope = "";
  let prev = 0n;
  let version = 0n;
  let delta: Uint8Array | undefined;
  let prevMark: bigint | undefined;
  let mark: bigint | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) scope = reader.string();
    else if (field === 2 && wireType === WireType.Varint) prev = BigInt(reader.uint64());
    else if (field === 3 && wireType === WireType.Varint) version = BigInt(reader.uint64());
    else if (field === 4 && wireType === WireType.LengthDelimited) delta = reader.bytes();
    else if (field === 5 && wireType === WireType.Varint) prevMark = BigInt(reader.uint64());
    else if (field === 6 && wireType === WireType.Varint) mark = BigInt(reader.uint64());
    else reader.skip(wireType);
  }
  if (scope === "" || version <= prev) throw new Error("not a hint");
  return { scope, prev, version, prevMark, mark, delta };
}
