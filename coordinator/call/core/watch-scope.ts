import type { WriteCall } from "../api.ts";

/** Into how many scopes what an account may see is divided. */
const PARTS = 16;

const scopeOf = (accountId: string, part: number): string => `watch:${accountId}/${part.toString(PARTS)}`;

/**
 * The scopes of what an account may see: which resources those who watch it must look at again. They are many because the account's
 * writers wait for each other at each (one scope: a quarter of the commits a second of an account with 16 busy networks, seen), and order
 * among resources is nothing that a watcher needs. Their kind comes after `host:` and `network:` in the order of locks: some transactions
 * hold a host's scope before their last statement, and while one waits for a network it must not hold up the account's others.
 */
export function watchScopes(accountId: string): string[] {
  return Array.from({ length: PARTS }, (_, part) => scopeOf(accountId, part));
}

/** Whose watchers a change concerns: an account that owns the resource, or that a consent names. */
export interface Concerned {
  readonly accountId: string;
  readonly resourceId: string;
}

/**
 * To be called by whatever writes the rows: those who watch these accounts look at these resources again. Never what is to be seen there.
 * All of one call go into one scope of each account, by the end of the first id, which is chance.
 */
export function tellWatchers(call: Pick<WriteCall, "change">, concerned: readonly Concerned[]): void {
  for (const [accountId, own] of Map.groupBy(concerned, (one) => one.accountId)) {
    const ids = [...new Set(own.map((one) => one.resourceId))];
    const part = Number.parseInt(ids[0]?.slice(-1) ?? "", PARTS);
    call.change(scopeOf(accountId, Number.isNaN(part) ? 0 : part), Buffer.from(ids.map((id) => `${id}\n`).join("")));
  }
}

/** The ids in a change of such a scope; some may come twice. */
export function watchedIds(payload: Uint8Array): string[] {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("utf8").split("\n").filter(Boolean);
}
