// Netlink speaks the processor's byte order; Plenum runs on x86-64 and arm64, both little-endian. Numbers that belong to a wire
// protocol (ports) are big-endian even here: those use `be16`.

/** Length of struct nlmsghdr. */
export const HEADER_LENGTH = 16;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const padded = (length: number): number => (length + 3) & ~3;

/** One attribute (struct rtattr), padded to four bytes. */
export function attribute(type: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(padded(4 + payload.length));
  out.writeUInt16LE(4 + payload.length, 0);
  out.writeUInt16LE(type, 2);
  out.set(payload, 4);
  return out;
}

/** An attribute that holds attributes (or a header and attributes). */
export function nested(type: number, ...parts: readonly Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(parts));
}

export function u8(type: number, value: number): Buffer {
  return attribute(type, Uint8Array.of(value));
}

export function u32(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value);
  return attribute(type, payload);
}

export function be16(type: number, value: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(value);
  return attribute(type, payload);
}

/** Zero-terminated text. */
export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`, "utf8"));
}

/** A whole message with its header; `sequence` pairs it with its answers. */
export function message(type: number, flags: number, sequence: number, body: Uint8Array): Buffer {
  const out = Buffer.alloc(HEADER_LENGTH + body.length);
  out.writeUInt32LE(out.length, 0);
  out.writeUInt16LE(type, 4);
  out.writeUInt16LE(flags, 6);
  out.writeUInt32LE(sequence, 8);
  out.set(body, HEADER_LENGTH);
  return out;
}

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  body: Buffer;
}

/** The messages of one datagram. @throws RangeError where a length does not fit the bytes */
export function splitMessages(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  let offset = 0;
  while (offset + HEADER_LENGTH <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    if (length < HEADER_LENGTH || offset + length > datagram.length)
      throw new RangeError(`netlink message of ${length} bytes at ${offset}`);
    messages.push({
      type: datagram.readUInt16LE(offset + 4),
      flags: datagram.readUInt16LE(offset + 6),
      sequence: datagram.readUInt32LE(offset + 8),
      body: datagram.subarray(offset + HEADER_LENGTH, offset + length),
    });
    offset += padded(length);
  }
  return messages;
}

/** Attributes by type; of a repeated type the last counts. Reading is lenient: an attribute that does not fit ends the list. */
export class Attributes {
  readonly #byType = new Map<number, Buffer>();

  constructor(bytes: Buffer) {
    let offset = 0;
    while (offset + 4 <= bytes.length) {
      const length = bytes.readUInt16LE(offset);
      if (length < 4 || offset + length > bytes.length) break;
      this.#byType.set(bytes.readUInt16LE(offset + 2) & NLA_TYPE_MASK, bytes.subarray(offset + 4, offset + length));
      offset += padded(length);
    }
  }

  bytes(type: number): Buffer | undefined {
    return this.#byType.get(type);
  }

  u8(type: number): number | undefined {
    const payload = this.#byType.get(type);
    return payload === undefined || payload.length < 1 ? undefined : payload.readUInt8();
  }

  u32(type: number): number | undefined {
    const payload = this.#byType.get(type);
    return payload === undefined || payload.length < 4 ? undefined : payload.readUInt32LE();
  }

  be16(type: number): number | undefined {
    const payload = this.#byType.get(type);
    return payload === undefined || payload.length < 2 ? undefined : payload.readUInt16BE();
  }

  text(type: number): string | undefined {
    const payload = this.#byType.get(type);
    if (payload === undefined) return undefined;
    const end = payload.indexOf(0);
    return payload.toString("utf8", 0, end === -1 ? payload.length : end);
  }

  nested(type: number): Attributes | undefined {
    const payload = this.#byType.get(type);
    return payload === undefined ? undefined : new Attributes(payload);
  }
}
