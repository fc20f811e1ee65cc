/** A host with something in the network, as a forced end sees it. */
export interface Watcher {
  readonly hostId: string;
  /** Its lease is over: nobody waits for it (C7). */
  readonly silent: boolean;
  /** Newest version of the network that it has applied in its present session; 0: none. */
  readonly applied: bigint;
}

/**
 * Who must still speak before an attachment is off `hostId` by force: that host itself once it is back (then only its own word ends the
 * attachment), else every host within its lease that has not applied `version`, the network's version without the mapping. A host that
 * is connecting again counts: it may hold the mapping still. In order of id; none: it is off.
 */
export function awaitedHosts(hostId: string, watchers: readonly Watcher[], version: bigint): string[] {
  const own = watchers.find((one) => one.hostId === hostId);
  if (own?.silent === false) return [hostId];
  return watchers
    .filter((one) => one.hostId !== hostId && !one.silent && one.applied < version)
    .map((one) => one.hostId)
    .toSorted();
}
