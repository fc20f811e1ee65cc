import type { Target, WatchMappingsResponse } from "#gen/plenum/mapping/v1/mapping.ts";
import { unpackMappings } from "#lib/mapping/packed.ts";
import type { PackedMapping } from "#lib/mapping/packed.ts";
import type { MappingEffect, MappingReceiver } from "#lib/mapping/receiver.ts";

/** What a host keeps of targets, in a form that compares. */
export function targetsOf(targets: readonly Pick<Target, "wireId" | "hostAddress" | "groupSetId">[]): string[] {
  return targets.map(({ wireId, hostAddress, groupSetId }) => `${wireId} at ${hostAddress} in ${groupSetId}`).sort();
}

const marks = new WeakMap<Map<string, string[]>, Set<string>>();

function put(held: Map<string, string[]>, mappings: Iterable<PackedMapping>, marked: Set<string>): void {
  for (const mapping of mappings) {
    const already = marked.has(mapping.prefix) ? (held.get(mapping.prefix) ?? []) : [];
    held.set(mapping.prefix, [...already, ...targetsOf([mapping])].sort());
    marked.add(mapping.prefix);
  }
}

/** Do to `held` (prefix → targets of one network) what a host does with a message, by the rules of the feed; for tests. */
export function receive(
  receiver: MappingReceiver,
  held: Map<string, string[]>,
  response: WatchMappingsResponse,
): MappingEffect | undefined {
  const effect = receiver.receive(response);
  const marked = marks.get(held) ?? new Set();
  switch (effect?.kind) {
    case "begin":
      marks.set(held, new Set());
      break;
    case "put":
      put(held, unpackMappings(effect.records), marked);
      break;
    case "inSync":
      for (const prefix of held.keys()) if (!marked.has(prefix)) held.delete(prefix);
      break;
    case "change":
      for (const prefix of effect.prefixes) held.delete(prefix);
      put(held, effect.mappings, new Set());
      break;
    case "refused":
    case "resumed":
    case "historyGone":
    case "resubscribe":
    case undefined:
      break;
  }
  return effect;
}
