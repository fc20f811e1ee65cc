import { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostChange } from "#gen/plenum/host/v1/host_feed.ts";

/** Items of one message of a snapshot, encoded, in bytes: far below what a message may have (16 MiB), whatever the items carry. */
export const CHUNK_BYTES = 1_048_576;

/**
 * A snapshot in messages, in the order of the items (rules come before what names them, instances before their attachments). A message
 * has one item at least; an item larger than a chunk has a message of its own.
 */
export function* snapshotChanges(items: readonly HostItem[], version: bigint): Generator<HostChange, void, undefined> {
  let chunk: HostItem[] = [];
  let bytes = 0;
  for (const item of items) {
    const own = HostItem.encode(item).finish().length;
    if (chunk.length > 0 && bytes + own > CHUNK_BYTES) {
      yield { version, inSnapshot: true, items: chunk };
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += own;
  }
  if (chunk.length > 0) yield { version, inSnapshot: true, items: chunk };
}
