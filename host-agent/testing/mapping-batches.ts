import { MappingPacker, PackedRecords } from "#lib/mapping/packed.ts";
import type { PackedMapping } from "#lib/mapping/packed.ts";
import { encodePrefix, PREFIX_OCTETS } from "#lib/mapping/prefix.ts";
import { ADDRESS_WORDS, textOfWords, wordsOfText } from "../core/address-words.ts";
import { HostNumbers } from "../core/host-numbers.ts";
import type { MappingChange } from "../core/mappings.ts";
import { ROW, type Datapath, type Mapping, type MappingBatch } from "../core/ports.ts";

// Mappings as tests write and read them, one at a time, in the forms in which the agent has many.

/** A batch for each network; of several for one address the last counts. */
export function batchesOf(mappings: Iterable<Mapping>): MappingBatch[] {
  const hosts = new HostNumbers();
  const networks = new Map<number, Map<string, Mapping>>();
  for (const mapping of mappings) {
    const network = networks.get(mapping.vni) ?? new Map<string, Mapping>();
    networks.set(mapping.vni, network.set(mapping.prefix, mapping));
  }
  return [...networks].map(([vni, all]) => {
    const rows = new Uint32Array(all.size * ROW.words);
    [...all.values()].forEach(({ prefix, hostAddress, wireId, groupSetId }, index) => {
      const row = rows.subarray(index * ROW.words, (index + 1) * ROW.words);
      wordsOfText(prefix, row);
      row[ROW.host] = hosts.numberOf(hostAddress);
      row[ROW.wireId] = wireId;
      row[ROW.groupSetId] = groupSetId;
    });
    return { vni, count: all.size, rows, hosts: hosts.words };
  });
}

export function mappingsOf(batches: Iterable<MappingBatch>): Mapping[] {
  return [...batches].flatMap(({ vni, count, rows, hosts }) =>
    Array.from({ length: count }, (_, index): Mapping => {
      const at = index * ROW.words;
      const { address, length } = textOfWords(rows.subarray(at, at + ADDRESS_WORDS));
      const host = (rows[at + ROW.host] ?? 0) * ADDRESS_WORDS;
      const hostAddress = textOfWords(hosts.subarray(host, host + ADDRESS_WORDS)).address;
      return {
        vni,
        prefix: `${address}/${length}`,
        hostAddress,
        wireId: rows[at + ROW.wireId] ?? 0,
        groupSetId: rows[at + ROW.groupSetId] ?? 0,
      };
    }),
  );
}

export function putMappings(datapath: Pick<Datapath, "putMappings">, mappings: readonly Mapping[]): void {
  for (const batch of batchesOf(mappings)) datapath.putMappings(batch);
}

export function deleteMappings(datapath: Pick<Datapath, "deleteMappings">, keys: readonly Pick<Mapping, "vni" | "prefix">[]): void {
  const mappings = keys.map(({ vni, prefix }) => ({ vni, prefix, hostAddress: "0.0.0.0", wireId: 0, groupSetId: 0 }));
  for (const batch of batchesOf(mappings)) datapath.deleteMappings(batch);
}

/** As a snapshot has them: in pieces of at most `size`. */
export function piecesOf(mappings: readonly PackedMapping[], size = 8_192): PackedRecords[] {
  const pieces: PackedRecords[] = [];
  const octets = new Uint8Array(PREFIX_OCTETS);
  for (let from = 0; from < mappings.length; from += size) {
    const packer = new MappingPacker(size);
    for (const { prefix, hostAddress, wireId, groupSetId } of mappings.slice(from, from + size)) {
      encodePrefix(prefix, octets);
      packer.add(octets, 0, wireId, hostAddress, groupSetId);
    }
    pieces.push(new PackedRecords(packer.finish()));
  }
  return pieces;
}

/** One version's: undefined where nothing is any more. */
export function changeOf(...items: readonly (readonly [prefix: string, mapping: PackedMapping | undefined])[]): MappingChange {
  return { prefixes: items.map(([prefix]) => prefix), mappings: items.flatMap(([, mapping]) => mapping ?? []) };
}
