import type { WriteCall } from "../api.ts";

/**
 * The scope of what an account may see: which resources those who watch it must look at again. Its kind comes after `host:` and
 * `network:` in the order of locks: some transactions hold a host's scope before their last statement, and while one waits for a network
 * it must not hold up the account's others.
 */
export const watchScope = (accountId: string): string => `watch:${accountId}`;

/** Whose watchers a change concerns: an account that owns the resource, or that a consent names. */
export interface Concerned {
  readonly accountId: string;
  readonly resourceId: string;
}

/** To be called by whatever writes the rows: those who watch these accounts look at these resources again. Never what is to be seen there. */
export function tellWatchers(call: Pick<WriteCall, "change">, concerned: readonly Concerned[]): void {
  for (const [accountId, own] of Map.groupBy(concerned, (one) => one.accountId)) {
    const ids = new Set(own.map((one) => one.resourceId));
    call.change(watchScope(accountId), Buffer.from([...ids].map((id) => `${id}\n`).join("")));
  }
}

/** The ids in a change of such a scope; some may come twice. */
export function watchedIds(payload: Uint8Array): string[] {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("utf8").split("\n").filter(Boolean);
}
