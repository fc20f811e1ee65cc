/**
 * A place in the order of one scope. `mark` is a random number that the change which led to `version` was given: a version of another
 * database, of one that was set back, or of a scope that was made anew under the same name has another mark. Version 0 has mark 0.
 */
export interface Position {
  readonly version: bigint;
  readonly mark: bigint;
}

const FORM = 1;
const OCTETS = 17;
const MAX_VERSION = 2n ** 63n - 1n;

/** What a client keeps of a position: opaque to it, the same for all, and no secret (it proves nothing but what its holder has read). */
export function encodeBookmark({ version, mark }: Position): Buffer {
  const bytes = Buffer.alloc(OCTETS);
  bytes[0] = FORM;
  bytes.writeBigUInt64BE(version, 1);
  bytes.writeBigUInt64BE(mark, 9);
  return bytes;
}

/** A position that no scope ever has. */
export const NOWHERE: Position = { version: 0n, mark: -1n };

/** Undefined for nothing. NOWHERE for what is none of this form: a token of another version of the program costs a snapshot and no error. */
export function decodeBookmark(bytes: Uint8Array): Position | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes.length !== OCTETS || bytes[0] !== FORM) return NOWHERE;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, mark] = [view.readBigUInt64BE(1), view.readBigUInt64BE(9)];
  return version > MAX_VERSION || mark > MAX_VERSION ? NOWHERE : { version, mark };
}
