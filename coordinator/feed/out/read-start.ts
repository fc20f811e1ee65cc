import type { Transaction } from "kysely";
import { Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem } from "#gen/plenum/host/v1/host_feed.ts";
import { changesSince } from "#lib/feed/feed.ts";
import type { Position } from "#lib/feed/feed.ts";
import { SCHEMA } from "../../call/api.ts";
import { hostScope, interfaceItemsOf } from "../../interface/api.ts";
import { instanceItemsOf } from "../../placement/api.ts";

/** Changes that a host may have missed; past this a snapshot is the shorter way. */
const MAX_MISSED = 2_000;

/** What a session begins with, all of one moment. */
export interface SessionStart {
  /** The changes since what the host has; undefined: it has nothing, or the history since then is gone. */
  readonly resumed: readonly (Position & { readonly payload: Uint8Array })[] | undefined;
  /**
   * With `resumed`, what is to go and was not acknowledged: the host may have said so on a stream that broke, and forgotten it. Without,
   * everything. Rules, instances, attachments: each after what it names.
   */
  readonly items: readonly HostItem[];
}

const leaves = ({ item }: HostItem): boolean =>
  (item?.$case === "instance" || item?.$case === "attachment") && item.value.wanted === Wanted.ABSENT;

/** Read what a host is to be sent first. `from`: what it has, by its own word. */
export async function readStart(tx: Transaction<unknown>, hostId: string, from: Position | undefined): Promise<SessionStart> {
  const own = await interfaceItemsOf(tx, hostId);
  const rules = own.filter((item) => item.item?.$case === "ruleset");
  const items = [...rules, ...(await instanceItemsOf(tx, hostId)), ...own.filter((item) => item.item?.$case !== "ruleset")];
  const resumed = from === undefined ? undefined : await changesSince(tx, SCHEMA, hostScope(hostId), from, MAX_MISSED);
  return { resumed, items: resumed === undefined ? items : items.filter(leaves) };
}
