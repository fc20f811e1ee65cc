import { ScalarType } from "@bufbuild/protobuf";
import type { DescField, DescMessage } from "@bufbuild/protobuf";

/** Numbers in [0, 1) from a seed, always the same (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const TEXTS = [
  "",
  "a",
  "default",
  "10.0.0.0/16",
  "10.0.0.0/24",
  "10.0.0.9",
  "::1",
  "0.0.0.0/0",
  "\0",
  "ä€😀",
  "'; --",
  "x".repeat(300),
  "-1",
  "1",
  "\u202e",
  "%s%n",
  "*",
];
const CIDRS = [
  "10.0.0.0/16",
  "10.0.4.0/24",
  "10.0.0.0/28",
  "10.0.0.1/16",
  "0.0.0.0/0",
  "192.168.0.0/33",
  "fd00::/64",
  "10.0.255.0/30",
  "300.1.1.1/8",
];
const ADDRESSES = ["10.0.0.4", "10.0.0.0", "10.0.3.255", "192.0.2.1", "::1", "10.0.0.256", "198.18.0.2"];
const PATHS = [
  "description",
  "tags",
  "security_group_ids",
  "source_dest_check",
  "access",
  "owner_account",
  "__proto__",
  "description.x",
  "",
];
const EDGES = [
  0n,
  1n,
  2n,
  3n,
  15n,
  100n,
  1_000n,
  1_001n,
  65_535n,
  65_536n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  cidr_block: CIDRS,
  cidr: CIDRS,
  address: ADDRESSES,
  private_addresses: ADDRESSES,
  substrate_address: ADDRESSES,
  paths: PATHS,
  request_id: ["", "", "r-1", "r-2", "r-3", "r 4"],
  etag: ["", "", "1", "2", "x"],
  page_token: ["", "", "x", "AAAA"],
  name: ["", "a", "b-1", "c-2", "Ü", "x".repeat(64)],
  zone_id: ["", "zone-a", "zone-b", "Zone"],
  region_id: ["", "region-1", "region-2"],
  principal_id: ["", "p-1", "p-2", "\n", "x".repeat(129)],
};

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}

const delimited = (bytes: readonly number[]): number[] => [...varint(BigInt(bytes.length)), ...bytes];

/** Makes messages of the contract's shape with values that are near what is right, ids that exist among them; and bytes that are no message. */
export class RandomMessages {
  readonly #random: () => number;
  /** Ids that exist or did, the newest last. */
  readonly #ids: string[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Remember the ids in an answer. */
  learn(answer: Uint8Array): void {
    for (const [id] of Buffer.from(answer)
      .toString("latin1")
      .matchAll(/[a-z]+(?:-[a-z]+)?-[0-9a-f]{32}/g))
      this.#ids.push(id);
    if (this.#ids.length > 600) this.#ids.splice(0, this.#ids.length - 400);
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.#random() * items.length)];
    if (item === undefined) throw new RangeError("nothing to pick from");
    return item;
  }

  /** Bytes for an RPC's request: one in eight no message, one in eight a message with damage, the rest of its shape. */
  request(desc: DescMessage): Uint8Array {
    const kind = this.#random();
    if (kind < 0.125) return Uint8Array.from({ length: this.#below(60) }, () => this.#below(256));
    const bytes = Uint8Array.from(this.#message(desc, 0));
    if (kind > 0.25 || bytes.length === 0) return bytes;
    if (kind > 0.19) return bytes.subarray(0, this.#below(bytes.length));
    bytes[this.#below(bytes.length)] = this.#below(256);
    return bytes;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #message(desc: DescMessage, depth: number): number[] {
    if (desc.typeName === "google.protobuf.Duration" || desc.typeName === "google.protobuf.Timestamp") return this.#time(desc);
    const fields = desc.members.map((member) => (member.kind === "oneof" ? this.pick(member.fields) : member));
    return fields.flatMap((field) => (this.#random() < (depth === 0 ? 0.75 : 0.5) ? this.#field(field, depth) : []));
  }

  /** Short, none, or far out of range: a valid one is a wait, of which a test has no time for many. */
  #time(desc: DescMessage): number[] {
    const seconds = this.pick([0n, 0n, 0n, -1n, 3_600n * 24n * 400n, 1n << 62n]);
    const nanos = this.pick([0n, 1n, 2_000_000n, -5n, 2_000_000_000n]);
    const [first, second] = desc.fields;
    return [...this.#tagged(first?.number ?? 1, 0, varint(seconds)), ...this.#tagged(second?.number ?? 2, 0, varint(nanos))];
  }

  #tagged(number: number, wireType: number, payload: readonly number[]): number[] {
    return [...varint(BigInt((number << 3) | wireType)), ...payload];
  }

  #field(field: DescField, depth: number): number[] {
    if (field.fieldKind === "map") {
      const entries = Array.from({ length: this.#below(4) }, () => [
        ...this.#tagged(1, 2, delimited([...Buffer.from(this.pick(TEXTS))])),
        ...this.#tagged(2, 2, delimited([...Buffer.from(this.pick(TEXTS))])),
      ]);
      return entries.flatMap((entry) => this.#tagged(field.number, 2, delimited(entry)));
    }
    const count = field.fieldKind === "list" ? (this.#random() < 0.002 ? 1_001 : this.#below(4)) : 1;
    return Array.from({ length: count }, () => this.#single(field, depth)).flat();
  }

  #single(field: DescField, depth: number): number[] {
    if (field.message !== undefined && field.fieldKind !== "map") {
      return depth > 5 ? [] : this.#tagged(field.number, 2, delimited(this.#message(field.message, depth + 1)));
    }
    if (field.enum !== undefined) return this.#tagged(field.number, 0, varint(BigInt(this.pick([0, 1, 1, 2, 2, 3, 4, 77, -1]))));
    return this.#scalar(field.number, field.scalar ?? ScalarType.STRING, field.name);
  }

  #scalar(number: number, type: ScalarType, name: string): number[] {
    switch (type) {
      case ScalarType.STRING:
        return this.#tagged(number, 2, delimited(this.#random() < 0.01 ? [0xff, 0xc0] : [...Buffer.from(this.#text(name))]));
      case ScalarType.BYTES:
        return this.#tagged(number, 2, delimited(Array.from({ length: this.#below(40) }, () => this.#below(256))));
      case ScalarType.DOUBLE:
      case ScalarType.FIXED64:
      case ScalarType.SFIXED64:
        return this.#tagged(
          number,
          1,
          Array.from({ length: 8 }, () => this.#below(256)),
        );
      case ScalarType.FLOAT:
      case ScalarType.FIXED32:
      case ScalarType.SFIXED32:
        return this.#tagged(
          number,
          5,
          Array.from({ length: 4 }, () => this.#below(256)),
        );
      default:
        return this.#tagged(number, 0, varint(this.pick(EDGES)));
    }
  }

  #text(name: string): string {
    const chance = this.#random();
    if (chance < 0.08) return this.pick(TEXTS);
    const fitting = ARGUMENTS[name];
    if (fitting !== undefined) return this.pick(fitting);
    const prefix = PREFIXES[name.replace(/s$/, "")];
    if (prefix === undefined) return /id|account/.test(name) && this.#ids.length > 0 ? this.pick(this.#ids) : this.pick(TEXTS);
    const known = this.#ids.filter((id) => id.startsWith(prefix) && id.length === prefix.length + 32);
    return chance < 0.15 || known.length === 0 ? `${prefix}${"0".repeat(32)}` : this.pick(known);
  }
}

const PREFIXES: Readonly<Record<string, string>> = {
  account_id: "acct-",
  owner_account: "acct-",
  payer_account: "acct-",
  vpc_id: "vpc-",
  subnet_id: "subnet-",
  security_group_id: "sg-",
  interface_id: "eni-",
  attachment_id: "eni-attach-",
  instance_id: "i-",
  host_id: "host-",
  consent_id: "cons-",
  operation_id: "op-",
};
