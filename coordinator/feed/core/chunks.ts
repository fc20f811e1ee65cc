import type { HostChange, HostItem } from "#gen/plenum/host/v1/host_feed.ts";

/** Items in one message of a snapshot: some 100 KB, far below what a message may have. */
const CHUNK = 500;

/** A snapshot in messages. Rules come before what names them, instances before their attachments. */
export function* snapshotChanges(items: readonly HostItem[], version: bigint): Generator<HostChange, void, undefined> {
  for (let at = 0; at < items.length; at += CHUNK) yield { version, inSnapshot: true, items: items.slice(at, at + CHUNK) };
}
