import { macBytes, macText } from "#lib/linux/netlink/address-bytes.ts";
import { RULES_PER_DIRECTION } from "../../core/rule-index.ts";
import { HostNumbers } from "../../core/host-numbers.ts";
import { ROW, type Endpoint, type MappingBatch } from "../../core/ports.ts";
import { addressKey, keyText } from "./address.ts";
import { ENUMS, MAPS, STRUCTS } from "./layout.gen.ts";
import { encode, readBigint, readBytes, readNumber } from "./record.ts";

const DEVICE = { veth: ENUMS.device_kind.DEVICE_VETH, tap: ENUMS.device_kind.DEVICE_TAP } as const;
const CHECKED = ENUMS.endpoint_flag.ENDPOINT_SOURCE_DEST_CHECK;
const DISABLED = ENUMS.endpoint_flag.ENDPOINT_DISABLED;
const ADDRESS_SIZE = STRUCTS.addr.size;

/** Most addresses of one endpoint, and most rules of one direction of a ruleset. */
export const LIMITS = {
  addressesPerEndpoint: STRUCTS.endpoint.fields.addresses.length,
  rulesPerDirection: RULES_PER_DIRECTION,
  endpoints: MAPS.endpoints.maxEntries,
  rulesets: MAPS.rulesets.maxEntries,
  mappings: MAPS.mappings.maxEntries,
  senders: MAPS.senders.maxEntries,
  connections: MAPS.connections.maxEntries,
} as const;

/** @throws RangeError */
export function inRange(what: string, value: number, from: number, to: number): number {
  if (!Number.isInteger(value) || value < from || value > to) throw new RangeError(`${what} must be ${from}..${to}, not ${value}`);
  return value;
}

function atMost<T>(what: string, list: readonly T[], limit: number): readonly T[] {
  if (list.length > limit) throw new RangeError(`at most ${limit} ${what}, not ${list.length}`);
  return list;
}

/** @throws RangeError for ids, MTU or addresses out of range, or more than 16 addresses */
export function encodeEndpoint(e: Endpoint): Buffer {
  atMost("addresses an endpoint", e.addresses, LIMITS.addressesPerEndpoint);
  const config = encode("endpoint_config", {
    wire_id: inRange("wire id", e.wireId, 1, 0xffffffff),
    vni: inRange("VNI", e.vni, 0, 0xffffff),
    ifindex: inRange("ifindex", e.ifindex, 1, 0x7fffffff),
    ruleset_id: inRange("ruleset id", e.rulesetId, 1, 0xffffffff),
    group_set_id: inRange("group set id", e.groupSetId, 0, 0xffffffff),
    device: DEVICE[e.device],
    flags: (e.sourceDestCheck ? CHECKED : 0) | (e.disabled ? DISABLED : 0),
    guest_mtu: inRange("guest MTU", e.guestMtu, 576, 65535),
    meter_id: e.meterId,
    guest_mac: macBytes(e.guestMac),
    gateway_mac: macBytes(e.gatewayMac),
    address_count: e.addresses.length,
  });
  return encode("endpoint", { config, addresses: Buffer.concat(e.addresses.map(addressKey)) });
}

export function decodeEndpoint(value: Buffer): Endpoint {
  const c = readBytes("endpoint", value, "config");
  const addresses = readBytes("endpoint", value, "addresses");
  const number = (name: Parameters<typeof readNumber<"endpoint_config">>[2]): number => readNumber("endpoint_config", c, name);
  return {
    wireId: number("wire_id"),
    vni: number("vni"),
    addresses: Array.from({ length: number("address_count") }, (_, i) =>
      keyText(addresses.subarray(i * ADDRESS_SIZE, (i + 1) * ADDRESS_SIZE)),
    ),
    guestMac: macText(readBytes("endpoint_config", c, "guest_mac")),
    gatewayMac: macText(readBytes("endpoint_config", c, "gateway_mac")),
    ifindex: number("ifindex"),
    device: number("device") === DEVICE.tap ? "tap" : "veth",
    guestMtu: number("guest_mtu"),
    rulesetId: number("ruleset_id"),
    groupSetId: number("group_set_id"),
    meterId: readBigint("endpoint_config", c, "meter_id"),
    sourceDestCheck: (number("flags") & CHECKED) !== 0,
    disabled: (number("flags") & DISABLED) !== 0,
  };
}

const { fields: MAPPING, size: MAPPING_SIZE } = STRUCTS.mapping;
const { fields: MAPPING_KEY, size: MAPPING_KEY_SIZE } = STRUCTS.mapping_key;
const WORD = 4;
/** Where the parts are, in words: this is done a million times. */
const AT = {
  size: MAPPING_SIZE / WORD,
  keySize: MAPPING_KEY_SIZE / WORD,
  vni: MAPPING_KEY.vni.offset / WORD,
  address: MAPPING_KEY.address.offset / WORD,
  key: MAPPING.key.offset / WORD,
  host: MAPPING.host.offset / WORD,
  wireId: MAPPING.wire_id.offset / WORD,
  groupSetId: MAPPING.group_set_id.offset / WORD,
} as const;
const ADDRESS_WORDS = ADDRESS_SIZE / WORD;

const bytesOf = (words: Uint32Array): Buffer => Buffer.from(words.buffer, words.byteOffset, words.byteLength);

/** The keys of many mappings, one after the other. @throws RangeError */
export function encodeMappingKeys({ vni, count, rows }: MappingBatch): Buffer {
  inRange("VNI", vni, 0, 0xffffff);
  const keys = new Uint32Array(count * AT.keySize);
  for (let i = 0; i < count; i++) {
    const at = i * AT.keySize;
    keys[at + AT.vni] = vni;
    for (let word = 0; word < ADDRESS_WORDS; word++) keys[at + AT.address + word] = rows[i * ROW.words + ROW.address + word]!;
  }
  return bytesOf(keys);
}

/** Their values. @throws RangeError */
export function encodeMappings({ vni, count, rows, hosts }: MappingBatch): Buffer {
  inRange("VNI", vni, 0, 0xffffff);
  const all = new Uint32Array(count * AT.size);
  for (let i = 0; i < count; i++) {
    const at = i * AT.size;
    const row = i * ROW.words;
    const host = rows[row + ROW.host]! * ADDRESS_WORDS;
    all[at + AT.key + AT.vni] = vni;
    for (let word = 0; word < ADDRESS_WORDS; word++) {
      all[at + AT.key + AT.address + word] = rows[row + ROW.address + word]!;
      all[at + AT.host + word] = hosts[host + word]!;
    }
    all[at + AT.wireId] = inRange("wire id", rows[row + ROW.wireId]!, 1, 0xffffffff);
    all[at + AT.groupSetId] = rows[row + ROW.groupSetId]!;
  }
  return bytesOf(all);
}

/** One value of what `encodeMappings` returns, and its key (views, not copies). */
export function mappingAt(all: Buffer, index: number): { key: Buffer; value: Buffer } {
  const value = all.subarray(index * MAPPING_SIZE, (index + 1) * MAPPING_SIZE);
  return { key: value.subarray(MAPPING.key.offset, MAPPING.key.offset + MAPPING_KEY_SIZE), value };
}

/** Of pieces of values, one after the other in each: a batch for each network. A host has one number in all of them. */
export function decodeMappings(pieces: Iterable<{ values: Buffer; count: number }>): MappingBatch[] {
  const hosts = new HostNumbers();
  const networks = new Map<number, { rows: Uint32Array; count: number }>();
  for (const { values, count } of pieces) {
    const all = new Uint32Array(count * AT.size);
    bytesOf(all).set(values.subarray(0, all.byteLength)); // a copy: words must lie on multiples of their size
    for (let value = 0; value < all.length; value += AT.size) {
      const vni = all[value + AT.key + AT.vni]!;
      let network = networks.get(vni);
      if (network === undefined) networks.set(vni, (network = { rows: new Uint32Array(FIRST_ROWS * ROW.words), count: 0 }));
      const at = network.count++ * ROW.words;
      if (at === network.rows.length) network.rows = grown(network.rows);
      const { rows } = network;
      for (let word = 0; word < ADDRESS_WORDS; word++) rows[at + ROW.address + word] = all[value + AT.key + AT.address + word]!;
      rows[at + ROW.host] = hosts.numberOfWords(all.subarray(value + AT.host, value + AT.host + ADDRESS_WORDS));
      rows[at + ROW.wireId] = all[value + AT.wireId]!;
      rows[at + ROW.groupSetId] = all[value + AT.groupSetId]!;
    }
  }
  return [...networks].map(([vni, { rows, count }]) => ({ vni, count, rows, hosts: hosts.words }));
}

const FIRST_ROWS = 16;

function grown(words: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(words.length * 2);
  larger.set(words);
  return larger;
}
