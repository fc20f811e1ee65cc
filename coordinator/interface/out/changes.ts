import { HostChange, Wanted } from "#gen/plenum/host/v1/host_feed.ts";
import type { HostItem, RulesetItem } from "#gen/plenum/host/v1/host_feed.ts";
import { NetworkChange } from "#gen/plenum/mapping/v1/mapping.ts";
import type { MappingItem } from "#gen/plenum/mapping/v1/mapping.ts";
import { sql } from "kysely";
import type { Tx, WriteCall } from "../../call/api.ts";
import { compiledRulesets, withPeerSets } from "../../network/api.ts";
import type { PeerChange } from "../../network/api.ts";
import { attachmentItem, mappingItems, mappingsGone, peerGroupItem, rulesetGone } from "../core/items.ts";
import type { PlacedHost } from "../ports.ts";
import { hostsNaming, rulesetsNamedOnHost } from "./attachment-store.ts";
import { carried } from "./rows.ts";
import type { AttachmentRow } from "./rows.ts";

export const hostScope = (hostId: string): string => `host:${hostId}`;
export const networkScope = (networkId: bigint): string => `network:${networkId}`;

/** Items for one host; several calls within one transaction become one change. */
export function tellHost(call: WriteCall, hostId: string, items: readonly HostItem[]): void {
  if (items.length > 0) call.change(hostScope(hostId), HostChange.encode({ version: 0n, inSnapshot: false, items: [...items] }).finish());
}

/** Mappings of one network; several calls within one transaction become one change. */
export function tellNetwork(call: WriteCall, networkId: bigint, items: readonly MappingItem[]): void {
  if (items.length > 0) call.change(networkScope(networkId), NetworkChange.encode({ version: 0n, items: [...items] }).finish());
}

const MAX_CACHED = 4_096;
/** Rules never change (D5), so what was read once of a database is right as long as it goes on. Who their peers are is read each time. */
const cache = new Map<number, RulesetItem>();

/**
 * Read them anew from now on. To be called with each new connection: a database that was set back (a backup, a standby that lacked the
 * newest commits) gives numbers out again, and nobody stays connected over that.
 */
export function forgetReadRulesets(): void {
  cache.clear();
}

/** Rulesets as hosts get them, by id; for whom that is right, see `withPeerSets`. */
export async function rulesetsAsItems(tx: Tx, ids: readonly number[]): Promise<HostItem[]> {
  const wanted = [...new Set(ids)];
  const known = new Map(wanted.map((id) => [id, cache.get(id)]));
  const missing = wanted.filter((id) => known.get(id) === undefined);
  if (missing.length > 0) {
    const read = await compiledRulesets(tx, missing);
    if (cache.size + read.size > MAX_CACHED) cache.clear();
    // A ruleset made in this very transaction may be rolled back, and its number is not given out again: no wrong answer can follow.
    for (const [id, item] of read) {
      cache.set(id, item);
      known.set(id, item);
    }
  }
  const there = wanted.flatMap((id) => known.get(id) ?? []);
  return (await withPeerSets(tx, there)).map((value) => ({ item: { $case: "ruleset" as const, value } }));
}

/**
 * Tell hosts what became of these attachments: the whole item each, with its rules where it is to be there. Always both, so that a
 * host that was told to forget the rules a version ago has them again. The sets of those that are to be there are held by the caller.
 */
export async function tellHosts(call: WriteCall, rows: readonly AttachmentRow[]): Promise<void> {
  const placed = rows.filter((row) => row.host_id !== null);
  const rules = new Map<number, HostItem>();
  const named = placed.filter((row) => row.wanted === Wanted.PRESENT).map((row) => Number(row.ruleset_id));
  for (const item of await rulesetsAsItems(call.tx, named)) if (item.item?.$case === "ruleset") rules.set(item.item.value.rulesetId, item);
  for (const [hostId, own] of Map.groupBy(placed, (row) => row.host_id ?? "")) {
    const ids = new Set(own.filter((row) => row.wanted === Wanted.PRESENT).map((row) => Number(row.ruleset_id)));
    const items = [...ids].flatMap((id) => rules.get(id) ?? []);
    tellHost(call, hostId, [...items, ...own.map((row) => attachmentItem(carried(row)))]);
  }
}

/** Tell hosts which sets of groups came or went: all whose attachments' rules name one of the groups. */
export async function tellPeers(call: WriteCall, changes: readonly PeerChange[]): Promise<void> {
  for (const [networkId, own] of Map.groupBy(changes, (change) => change.networkId)) {
    const naming = await hostsNaming(
      call.tx,
      networkId,
      own.map((change) => change.groupId),
    );
    for (const { hostId, groupIds } of naming) {
      const named = own.filter((change) => groupIds.includes(change.groupId));
      tellHost(call, hostId, named.map(peerGroupItem));
    }
  }
}

/** Tell networks where the addresses of these attachments live now: at their hosts, or, for what is to go, nowhere. */
export function tellNetworks(call: WriteCall, rows: readonly AttachmentRow[], hosts: ReadonlyMap<string, PlacedHost>): void {
  for (const [networkId, own] of Map.groupBy(rows, (row) => row.network_id)) {
    const items = own.flatMap((row) => {
      const host = row.host_id === null || row.wanted !== Wanted.PRESENT ? undefined : hosts.get(row.host_id);
      return host === undefined ? mappingsGone(carried(row)) : mappingItems(carried(row), host);
    });
    tellNetwork(call, networkId, items);
  }
}

/**
 * Tell a host to forget rules that none of its attachments names any more. The host's scope is locked first: an attachment that is
 * being made now, unseen by this transaction, then gets its rules in a later version.
 */
export async function forgetRulesets(call: WriteCall, hostId: string, candidates: readonly number[]): Promise<void> {
  if (candidates.length === 0) return;
  await sql`SELECT FROM scope WHERE scope = ${hostScope(hostId)} FOR UPDATE`.execute(call.tx);
  const named = await rulesetsNamedOnHost(call.tx, hostId, candidates);
  tellHost(call, hostId, [...new Set(candidates)].filter((id) => !named.has(id)).map(rulesetGone));
}
