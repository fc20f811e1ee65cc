import { parseBtf } from "./btf.ts";
import type { MapShape } from "./bpf-map.ts";
import { describeTypes, structName, type StructLayout } from "./describe-layout.ts";
import * as libbpf from "./libbpf.ts";

/** Offsets in struct bpf_map_info. */
const INFO = { type: 0, keySize: 8, valueSize: 12, maxEntries: 16, flags: 20, btf: 64, key: 68, value: 72, size: 80 };

/** A map as the kernel describes it, whoever made it. */
export interface KernelMap extends MapShape {
  maxEntries: number;
  flags: number;
  /** 0: made without BTF. */
  btfId: number;
  keyTypeId: number;
  valueTypeId: number;
}

/** @throws KernelError */
export function describeMap(fd: number): KernelMap {
  const info = Buffer.alloc(INFO.size);
  libbpf.check(libbpf.objInfo(fd, info, new Uint32Array([INFO.size])), "describe a map");
  const at = (offset: number): number => info.readUInt32LE(offset);
  return {
    ...{ type: at(INFO.type), keySize: at(INFO.keySize), valueSize: at(INFO.valueSize), maxEntries: at(INFO.maxEntries) },
    ...{ flags: at(INFO.flags), btfId: at(INFO.btf), keyTypeId: at(INFO.key), valueTypeId: at(INFO.value) },
  };
}

/** What a map's elements are made of: the structs by name, and which of them key and value are (undefined: a plain number). */
export interface ElementLayout extends MapShape {
  key: string | undefined;
  value: string | undefined;
  structs: Readonly<Record<string, StructLayout>>;
}

/** By the BTF that the kernel keeps with the map; undefined: it has none. @throws KernelError */
export function elementLayout(map: KernelMap): ElementLayout | undefined {
  const { type, keySize, valueSize } = map;
  if (map.btfId === 0 || map.valueTypeId === 0) return undefined;
  const types = parseBtf(libbpf.readKernelBtf(map.btfId));
  const key = structName(types, map.keyTypeId);
  return { type, keySize, valueSize, key, value: structName(types, map.valueTypeId), structs: describeTypes(types).structs };
}
