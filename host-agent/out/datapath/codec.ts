import { macBytes, macText } from "#lib/linux/netlink/address-bytes.ts";
import { RULES_PER_DIRECTION } from "../../core/rule-index.ts";
import type { Endpoint, Mapping } from "../../core/ports.ts";
import { addressKey, keyPrefixText, keyText, writeAddressKey } from "./address.ts";
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

/** @throws RangeError */
export function encodeMappingKey(vni: number, prefix: string): Buffer {
  return encode("mapping_key", { vni: inRange("VNI", vni, 0, 0xffffff), address: addressKey(prefix) });
}

const { fields: MAPPING, size: MAPPING_SIZE } = STRUCTS.mapping;
const { fields: MAPPING_KEY, size: MAPPING_KEY_SIZE } = STRUCTS.mapping_key;

/** The values of many mappings, one after the other. Offsets are used directly: this is done a million times. @throws RangeError */
export function encodeMappings(mappings: readonly Mapping[]): Buffer {
  const all = Buffer.alloc(mappings.length * MAPPING_SIZE);
  mappings.forEach((m, i) => {
    const at = i * MAPPING_SIZE;
    all.writeUInt32LE(inRange("VNI", m.vni, 0, 0xffffff), at + MAPPING.key.offset + MAPPING_KEY.vni.offset);
    writeAddressKey(m.prefix, all, at + MAPPING.key.offset + MAPPING_KEY.address.offset);
    writeAddressKey(m.hostAddress, all, at + MAPPING.host.offset);
    all.writeUInt32LE(inRange("wire id", m.wireId, 1, 0xffffffff), at + MAPPING.wire_id.offset);
    all.writeUInt32LE(inRange("group set id", m.groupSetId, 0, 0xffffffff), at + MAPPING.group_set_id.offset);
  });
  return all;
}

/** One value of what `encodeMappings` returns, and its key (views, not copies). */
export function mappingAt(all: Buffer, index: number): { key: Buffer; value: Buffer } {
  const value = all.subarray(index * MAPPING_SIZE, (index + 1) * MAPPING_SIZE);
  return { key: value.subarray(MAPPING.key.offset, MAPPING.key.offset + MAPPING_KEY_SIZE), value };
}

export function decodeMapping(value: Buffer): Mapping {
  const key = readBytes("mapping", value, "key");
  return {
    vni: readNumber("mapping_key", key, "vni"),
    prefix: keyPrefixText(readBytes("mapping_key", key, "address")),
    hostAddress: keyText(readBytes("mapping", value, "host")),
    wireId: readNumber("mapping", value, "wire_id"),
    groupSetId: readNumber("mapping", value, "group_set_id"),
  };
}
