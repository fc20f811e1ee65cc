import { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostChange } from "#gen/plenum/host/v1/host_feed.ts";
import { chunksOf } from "#lib/feed/feed.ts";

/** A snapshot in messages, in the order of the items (rules come before what names them, instances before their attachments). */
export function* snapshotChanges(items: readonly HostItem[], version: bigint): Generator<HostChange, void, undefined> {
  for (const chunk of chunksOf(items, (item) => HostItem.encode(item).finish().length)) yield { version, inSnapshot: true, items: chunk };
}
